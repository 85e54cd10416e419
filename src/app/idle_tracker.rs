//! Tracks when a connection was last active: bytes passed, or a request was being handled.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
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
    /// The connection goes on in another protocol.
    upgraded: AtomicBool,
    /// Number of responses whose bodies are being sent.
    responses: AtomicUsize,
    /// Start of the oldest response that is being sent, in milliseconds after `opened`.
    answering_since: AtomicU64,
    /// End of the last response, in milliseconds after `opened`; 0 if there was none.
    free_since: AtomicU64,
}

/// Counts a request as being handled until it is dropped.
pub(super) struct ActiveRequest(Arc<IdleTracker>);

/// The body of a response, which counts as being sent until it is dropped.
pub(super) struct ActiveBody<B> {
    body: B,
    idle: Arc<IdleTracker>,
    /// In milliseconds after the connection was opened.
    began: u64,
}

impl Default for IdleTracker {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            active_at: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            upgraded: AtomicBool::new(false),
            responses: AtomicUsize::new(0),
            answering_since: AtomicU64::new(0),
            free_since: AtomicU64::new(0),
        }
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

    /// Returns since when the connection has been of no use: the end of its last response, or its start. Received bytes do
    /// not count, because a client could send a byte of a header now and then. During a response it is the last byte.
    /// `None` while a request is being handled.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        if !self.is_idle() {
            return None;
        }
        let is_answering = self.responses.load(Ordering::Relaxed) > 0;
        let since = if is_answering { &self.active_at } else { &self.free_since };
        Some(self.opened + Duration::from_millis(since.load(Ordering::Relaxed)))
    }

    /// Returns true if no request is being handled and no response is being sent.
    pub(super) fn is_at_rest(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && self.responses.load(Ordering::Relaxed) == 0
    }

    /// Returns true if no request is being handled, and the connection does not go on in another protocol.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0 && !self.upgraded.load(Ordering::Relaxed)
    }

    /// Marks a connection that goes on in another protocol: it is never idle.
    pub(super) fn never_idle(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// Returns since when the oldest response is being sent, or a little later.
    pub(super) fn answering_since(&self) -> Option<Instant> {
        let is_answering = self.responses.load(Ordering::Relaxed) > 0;
        is_answering.then(|| self.opened + Duration::from_millis(self.answering_since.load(Ordering::Relaxed)))
    }

    /// Waits until a response has been sent for that long, or up to twice as long.
    pub(super) async fn wait_until_answering_for(&self, longest: Duration) {
        loop {
            let since = self.answering_since().map(|since| since.elapsed()).unwrap_or_default();
            if since >= longest {
                return;
            }
            sleep(longest - since).await;
        }
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

impl ActiveRequest {
    /// The connection of the request.
    pub(super) fn idle(&self) -> Arc<IdleTracker> {
        self.0.clone()
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.touch();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B> ActiveBody<B> {
    pub(super) fn new(body: B, idle: Arc<IdleTracker>) -> Self {
        let began = idle.age();
        if idle.responses.fetch_add(1, Ordering::Relaxed) == 0 {
            idle.answering_since.store(began, Ordering::Relaxed);
        }
        Self { body, idle, began }
    }
}

impl<B> Drop for ActiveBody<B> {
    fn drop(&mut self) {
        let now = self.idle.age();
        self.idle.free_since.store(now, Ordering::Relaxed);
        if self.idle.answering_since.load(Ordering::Relaxed) == self.began {
            // It was the oldest. The others began later, at the latest now.
            self.idle.answering_since.store(now, Ordering::Relaxed);
        }
        self.idle.responses.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B: Body + Unpin> Body for ActiveBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose reads and writes count as activity. What it holds is dropped with it, also after an upgrade to
/// another protocol.
pub(super) struct Watched<Io, Held> {
    pub(super) io: Io,
    pub(super) idle: Arc<IdleTracker>,
    pub(super) _held: Held,
}

impl<Io, Held> Watched<Io, Held> {
    fn touch_if_ok<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(done, Poll::Ready(Ok(_))) {
            self.idle.touch();
        }
        done
    }
}

impl<Io: AsyncRead + Unpin, Held: Unpin> AsyncRead for Watched<Io, Held> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.touch_if_ok(done)
    }
}

impl<Io: AsyncWrite + Unpin, Held: Unpin> AsyncWrite for Watched<Io, Held> {
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
