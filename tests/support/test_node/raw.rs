//! Replies of any bytes, which no encoder would send: large, repetitive or malformed.

use std::convert::Infallible;
use std::future::ready;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use sarban::nodes::proto::marz_service_server::MarzServiceServer;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::server::NamedService;
use tower::Service;

use super::control::Controls;
use super::service::Service as Node;

/// One message: these pieces one after the other, all of it this many times.
#[derive(Clone, Debug, Default)]
pub struct RawReply {
    pub pieces: Vec<Vec<u8>>,
    pub times: usize,
}

impl RawReply {
    fn length(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum::<usize>() * self.times
    }

    fn response(self) -> Response<Body> {
        let length = u32::try_from(self.length()).expect("less than 4 GiB");
        let prefix = Bytes::from([&[0][..], &length.to_be_bytes()].concat());
        let pieces: Vec<Bytes> = self.pieces.into_iter().map(Bytes::from).collect();
        let message = stream::iter(0..self.times).flat_map(move |_| stream::iter(pieces.clone()));
        let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
        let frames = stream::iter([prefix]).chain(message).map(Frame::data);
        let frames = frames.chain(stream::iter([Frame::trailers(trailers)])).map(Ok::<_, Infallible>);
        let response = Response::builder().header("content-type", "application/grpc");
        response.body(Body::new(StreamBody::new(frames))).expect("a response")
    }
}

/// The node's service, except for calls with a raw reply.
#[derive(Clone, Debug)]
pub struct WithRawReplies {
    pub service: MarzServiceServer<Node>,
    pub controls: Controls,
}

impl NamedService for WithRawReplies {
    const NAME: &'static str = MarzServiceServer::<Node>::NAME;
}

impl Service<Request<Body>> for WithRawReplies {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = request.uri().path().rsplit('/').next().unwrap_or_default();
        if call == "StreamBackendLogs" {
            self.controls.0.log_requested();
        }
        match self.controls.0.raw_reply(call) {
            Some(raw) => ready(Ok(raw.response())).boxed(),
            None => self.service.call(request),
        }
    }
}
