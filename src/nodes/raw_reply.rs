//! A node's reply as it arrives. tonic holds a whole message and then builds its values, which may take many times the
//! message's bytes; these readers hold what they need.

use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service, http};
use tonic::transport::Channel;

/// Bytes before each message: a flag (0: not compressed) and the length.
const PREFIX: usize = 5;

/// The beginning of tonic's text about a message above the limit, which it has no type for.
pub(super) const TOO_LARGE: &str = "Error, decoded message length too large";

/// The messages of a reply.
#[derive(Debug)]
pub(super) struct RawReply {
    body: Body,
    /// Bytes that have arrived and were not read.
    arrived: Bytes,
    /// Bytes of the current message that were not read.
    left: usize,
    ended: bool,
}

impl RawReply {
    /// Sends a call with an encoded message, and waits for the beginning of the reply.
    pub(super) async fn open(mut channel: Channel, path: &'static str, message: &[u8]) -> Result<Self, Status> {
        let failed = |error: tonic::transport::Error| Status::from_error(Box::new(error));
        std::future::poll_fn(|context| channel.poll_ready(context)).await.map_err(failed)?;
        let length = u32::try_from(message.len()).map_err(|_| Status::internal("a request of 4 GiB"))?;
        let mut framed = vec![0];
        framed.extend(length.to_be_bytes());
        framed.extend(message);
        let request = http::Request::post(path)
            .version(http::Version::HTTP_2)
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(Body::new(Full::new(Bytes::from(framed))))
            .map_err(|error| Status::from_error(Box::new(error)))?;
        let response = channel.call(request).await.map_err(failed)?;
        refused(response.headers())?;
        match response.status() {
            http::StatusCode::OK => {}
            // A web server that knows no such path: no node.
            status @ http::StatusCode::NOT_FOUND => return Err(Status::unimplemented(format!("HTTP status {status}"))),
            status => return Err(Status::unknown(format!("HTTP status {status}"))),
        }
        Ok(Self { body: response.into_body(), arrived: Bytes::new(), left: 0, ended: false })
    }

    /// Skips what is left of the current message. Returns the bytes of the next one, or `None` after the last.
    pub(super) async fn next_message(&mut self) -> Result<Option<usize>, Status> {
        while self.piece().await?.is_some() {}
        let mut prefix = [0; PREFIX];
        let mut filled = 0;
        while filled < PREFIX {
            if !self.has_arrived().await? {
                return if filled == 0 { Ok(None) } else { Err(cut_off()) };
            }
            let taken = self.arrived.split_to(self.arrived.len().min(PREFIX - filled));
            prefix[filled..filled + taken.len()].copy_from_slice(&taken);
            filled += taken.len();
        }
        let [flag, a, b, c, d] = prefix;
        if flag != 0 {
            return Err(Status::internal("the reply is compressed, which was not asked for"));
        }
        self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        Ok(Some(self.left))
    }

    /// Returns the next bytes of the current message, or `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Status> {
        if self.left == 0 {
            return Ok(None);
        }
        if !self.has_arrived().await? {
            return Err(cut_off());
        }
        let piece = self.arrived.split_to(self.arrived.len().min(self.left));
        self.left -= piece.len();
        Ok(Some(piece))
    }

    /// Reads the only message of a reply, which may have `most` bytes.
    pub(super) async fn whole(&mut self, most: usize) -> Result<Vec<u8>, Status> {
        let length = self.next_message().await?.ok_or_else(|| Status::internal("the reply has no message"))?;
        within(length, most)?;
        let mut message = Vec::new();
        while let Some(piece) = self.piece().await? {
            message.extend_from_slice(&piece);
        }
        // The end says whether the call has succeeded.
        self.next_message().await?;
        Ok(message)
    }

    /// Waits until bytes have arrived. False: the reply has ended well.
    async fn has_arrived(&mut self) -> Result<bool, Status> {
        while self.arrived.is_empty() && !self.ended {
            let frame = self.body.frame().await;
            let Some(frame) = frame.transpose()? else {
                self.ended = true;
                break;
            };
            match frame.into_data() {
                Ok(data) => self.arrived = data,
                Err(trailers) => {
                    self.ended = true;
                    refused(trailers.trailers_ref().unwrap_or(&http::HeaderMap::new()))?;
                }
            }
        }
        Ok(!self.arrived.is_empty())
    }
}

/// Fails if a message is larger than `most` bytes.
pub(super) fn within(length: usize, most: usize) -> Result<(), Status> {
    if length <= most {
        return Ok(());
    }
    Err(Status::out_of_range(format!("{TOO_LARGE}: found {length} bytes, the limit is: {most} bytes")))
}

/// Fails if headers or trailers say that the call has failed.
fn refused(headers: &http::HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != tonic::Code::Ok => Err(status),
        _ => Ok(()),
    }
}

fn cut_off() -> Status {
    Status::internal("the reply ends in the middle of a message")
}
