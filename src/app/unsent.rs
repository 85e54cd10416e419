//! Response bodies that clients have not taken yet. They are given to the connection in small pieces, so that their memory
//! can be counted until nearly all has been sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::connections::Slot;

/// Bytes of a body that are given to the connection at a time.
const PIECE: usize = 32 * 1024;

/// A body whose bytes count for its connection until it is dropped.
pub(super) struct UnsentBody<B> {
    body: B,
    /// The rest of the last piece of `body`.
    rest: Bytes,
    held: usize,
    slot: Arc<Slot>,
}

impl<B: Body<Data = Bytes>> UnsentBody<B> {
    /// Counts the bytes of a body in memory. A body that is still being made counts nothing: it is made as it is taken.
    pub(super) fn new(body: B, slot: Arc<Slot>) -> Self {
        let held = body.size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or_default();
        slot.hold(held);
        Self { body, rest: Bytes::new(), held, slot }
    }
}

impl<B> Drop for UnsentBody<B> {
    fn drop(&mut self) {
        self.slot.release(self.held);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for UnsentBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;
    use crate::app::connections::{Connections, Limits};

    #[tokio::test]
    async fn body_arrives_whole_in_pieces_and_is_counted_until_it_is_dropped() {
        let connections = Connections::new(Limits::of(16), "10.0.0.0/8".parse().expect("networks"));
        let slot = Arc::new(connections.admit(None).expect("free"));
        let text = Bytes::from(vec![b'x'; 3 * PIECE + 1]);
        let mut body = UnsentBody::new(Full::new(text.clone()), slot);
        assert_eq!(connections.unsent(), text.len());
        let mut received = Vec::new();
        while let Some(frame) = body.frame().await {
            assert_eq!(body.size_hint().exact(), Some((text.len() - received.len()).saturating_sub(PIECE) as u64));
            received.extend(frame.expect("a frame").into_data().expect("data"));
        }
        assert_eq!(received, text);
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(connections.unsent(), 0);
    }
}
