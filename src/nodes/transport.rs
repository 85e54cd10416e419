//! The bytes below HTTP/2, which forgets why they stopped: so the wire remembers what came.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::link_error::refuses_panel;

/// TCP, or TLS over it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

pub(super) struct Wire {
    transport: Box<dyn Transport>,
    news: Arc<News>,
}

/// What came over a wire. With TLS 1.3 a node refuses our certificate only when we think that the handshake is done:
/// it says so, or it just hangs up before a single byte.
#[derive(Debug, Default)]
pub(super) struct News {
    refused: AtomicBool,
    heard: AtomicBool,
    answered: AtomicBool,
}

impl News {
    /// The node said that it refuses our certificate.
    pub(super) fn refused(&self) -> bool {
        self.refused.load(SeqCst)
    }

    /// Some call was answered: it is a node, and lets the panel in.
    pub(super) fn answered(&self) -> bool {
        self.answered.load(SeqCst)
    }

    /// A call was answered.
    pub(super) fn set_answered(&self) {
        self.answered.store(true, SeqCst);
    }

    /// At least one byte came.
    pub(super) fn heard(&self) -> bool {
        self.heard.load(SeqCst)
    }
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>, news: Arc<News>) -> Self {
        Self { transport, news }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.transport).poll_read(cx, buffer));
        match &read {
            Ok(()) if !buffer.filled().is_empty() => self.news.heard.store(true, SeqCst),
            Err(error) if refuses_panel(error) => self.news.refused.store(true, SeqCst),
            _ => {}
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
