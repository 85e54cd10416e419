//! Tracks when a connection was last active: bytes passed, or a request was being handled.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct IdleTracker {
    opened: Instant,
    /// Last activity, in milliseconds after `opened`.
    active_at: AtomicU64,
    /// Number of requests that are being handled.
    requests: AtomicUsize,
}

/// Counts a request as being handled until it is dropped.
pub(super) struct ActiveRequest(Arc<IdleTracker>);

impl Default for IdleTracker {
    fn default() -> Self {
        Self { opened: Instant::now(), active_at: AtomicU64::new(0), requests: AtomicUsize::new(0) }
    }
}

impl IdleTracker {
    fn touch(&self) {
        self.active_at.store(self.age(), Ordering::Relaxed);
    }

    fn age(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Counts a request until the returned guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> ActiveRequest {
        self.requests.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(self.clone())
    }

    /// Waits until the connection has been idle for that long.
    pub(super) async fn wait_until_idle_for(&self, silence: Duration) {
        loop {
            let since = Duration::from_millis(self.age().saturating_sub(self.active_at.load(Ordering::Relaxed)));
            if self.requests.load(Ordering::Relaxed) > 0 {
                sleep(silence).await;
            } else if since >= silence {
                return;
            } else {
                sleep(silence - since).await;
            }
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.touch();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose reads and writes count as activity.
pub(super) struct Watched<Io> {
    pub(super) io: Io,
    pub(super) idle: Arc<IdleTracker>,
}

impl<Io> Watched<Io> {
    fn touch_if_ok<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(done, Poll::Ready(Ok(_))) {
            self.idle.touch();
        }
        done
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.touch_if_ok(done)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.touch_if_ok(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.touch_if_ok(done)
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
