//! Whether a connection still does something: bytes pass, or a request is being worked on.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

/// The signs of life of one connection.
#[derive(Debug)]
pub(super) struct IdleTracker {
    born: Instant,
    /// Milliseconds after `born`.
    beat: AtomicU64,
    working: AtomicUsize,
}

/// A request that is being worked on, until it is dropped.
pub(super) struct Work(Arc<IdleTracker>);

impl Default for IdleTracker {
    fn default() -> Self {
        Self { born: Instant::now(), beat: AtomicU64::new(0), working: AtomicUsize::new(0) }
    }
}

impl IdleTracker {
    /// Something has happened.
    fn beats(&self) {
        self.beat.store(self.age(), Ordering::Relaxed);
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A request is being worked on.
    pub(super) fn work(self: &Arc<Self>) -> Work {
        self.working.fetch_add(1, Ordering::Relaxed);
        Work(self.clone())
    }

    /// Ends when nothing has happened for so long.
    pub(super) async fn stops_for(&self, silence: Duration) {
        loop {
            let since = Duration::from_millis(self.age().saturating_sub(self.beat.load(Ordering::Relaxed)));
            if self.working.load(Ordering::Relaxed) > 0 {
                sleep(silence).await;
            } else if since >= silence {
                return;
            } else {
                sleep(silence - since).await;
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.beats();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose bytes are felt.
pub(super) struct Watched<Io> {
    pub(super) io: Io,
    pub(super) idle: Arc<IdleTracker>,
}

impl<Io> Watched<Io> {
    fn felt<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(done, Poll::Ready(Ok(_))) {
            self.idle.beats();
        }
        done
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.felt(done)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.felt(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.felt(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
