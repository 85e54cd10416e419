//! The byte stream below HTTP/2, which records how the connection began: HTTP/2 does not report why a stream ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::node_error::refuses_panel;

/// TCP, or TLS over it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A transport that records what it observes in a [`HandshakeOutcome`].
pub(super) struct ObservedTransport {
    transport: Box<dyn Transport>,
    outcome: Arc<HandshakeOutcome>,
}

/// How a node reacted to a new connection. With TLS 1.3 a node rejects the panel's certificate after the panel
/// considers the handshake finished: it sends an alert, or closes the connection without sending a byte.
#[derive(Debug, Default)]
pub(super) struct HandshakeOutcome {
    refused: AtomicBool,
    received: AtomicBool,
    answered: AtomicBool,
}

impl HandshakeOutcome {
    /// Returns whether the node sent an alert that refuses the panel's certificate.
    pub(super) fn refused(&self) -> bool {
        self.refused.load(SeqCst)
    }

    /// Returns whether at least one byte was received.
    pub(super) fn received(&self) -> bool {
        self.received.load(SeqCst)
    }

    /// Returns whether a call was answered: the peer is a node and accepts the panel.
    pub(super) fn answered(&self) -> bool {
        self.answered.load(SeqCst)
    }

    /// Records that a call was answered.
    pub(super) fn set_answered(&self) {
        self.answered.store(true, SeqCst);
    }
}

impl ObservedTransport {
    pub(super) fn new(transport: Box<dyn Transport>, outcome: Arc<HandshakeOutcome>) -> Self {
        Self { transport, outcome }
    }
}

impl AsyncRead for ObservedTransport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.transport).poll_read(cx, buffer));
        match &read {
            Ok(()) if !buffer.filled().is_empty() => self.outcome.received.store(true, SeqCst),
            Err(error) if refuses_panel(error) => self.outcome.refused.store(true, SeqCst),
            _ => {}
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for ObservedTransport {
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
