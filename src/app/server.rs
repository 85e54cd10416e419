//! The HTTP server: a task per connection. Connections that are idle or send their request too slowly are closed, which
//! poem's own server can't do.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, header};
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Connections, Slot};
use super::idle_tracker::{ActiveBody, Watched};
use super::unsent::UnsentBody;
use crate::api::http::error::ApiError;

/// Time-outs of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the start of the connection, or the end of a response, to the last header of the next request, over HTTP/1.
    /// Longer than proxies keep idle connections: if the panel closed first, a proxy might just be sending a request.
    pub request: Duration,
    /// Without a byte in either direction while no request is being handled: the client is gone, or does not read.
    pub silence: Duration,
    /// For a response: four megabytes at 7 kB a second.
    pub response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(130),
            silence: Duration::from_secs(130),
            response: Duration::from_secs(600),
        }
    }
}

/// Pause after a failed accept: most likely the process is out of file descriptors for a moment.
pub(super) const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Paths that are answered over connections beyond the maximum.
const PROBES: &[&str] = &["/health/live", "/health/ready", "/metrics"];
/// Bytes of a request's line and headers, at most, and of the buffer that they are read into.
const MAX_HEADERS: usize = 32 * 1024;
/// Requests at once on a connection of HTTP/2.
const MAX_STREAMS: u32 = 32;
/// Bytes that a client of HTTP/2 may send before they are read, on a stream and on a connection.
const WINDOW: u32 = 64 * 1024;
/// Bytes of a response that wait on a stream of HTTP/2 until the client takes them.
const SEND_BUFFER: usize = 32 * 1024;

/// Serves until `stop`, then lets open requests finish until the time that it returns.
pub async fn serve(
    mut acceptor: impl Acceptor + 'static,
    connections: Connections,
    endpoint: impl Endpoint<Output = Response> + 'static,
    timeouts: Timeouts,
    stop: impl Future<Output = Instant>,
) {
    let endpoint = Arc::new(endpoint);
    let (tasks, stopping, over) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    tokio::pin!(stop);
    let end = loop {
        let accepted = tokio::select! {
            end = &mut stop => break end,
            accepted = acceptor.accept() => accepted,
        };
        let Ok((io, local, remote, scheme)) = accepted else {
            connections.out_of_descriptors();
            sleep(ACCEPT_BACKOFF).await;
            continue;
        };
        let peer = remote.as_socket_addr().map(|peer| peer.ip());
        if let Some(slot) = connections.admit(peer) {
            let info = ConnectionInfo { local, remote, scheme };
            let connection = connection(io, Arc::new(slot), info, endpoint.clone(), timeouts, stopping.clone());
            tasks.spawn(over.clone().run_until_cancelled_owned(connection));
        }
        tokio::select! {
            grace = &mut stop => break grace,
            () = connections.settle() => {}
        }
    };
    drop(acceptor);
    stopping.cancel();
    tasks.close();
    if timeout_at(end, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "requests aborted: they exceeded SHUTDOWN_GRACE_SECONDS");
        over.cancel();
        tasks.wait().await;
    }
}

/// The connection that a request came over.
#[derive(Clone)]
struct ConnectionInfo {
    local: LocalAddr,
    remote: RemoteAddr,
    scheme: Scheme,
}

/// The answer to a request over a connection that is for probes only.
fn too_many_connections() -> Response {
    let mut response = ApiError::unavailable("The panel has too many connections, try again").to_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn connection<Io: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    io: Io,
    slot: Arc<Slot>,
    info: ConnectionInfo,
    endpoint: Arc<impl Endpoint<Output = Response> + 'static>,
    timeouts: Timeouts,
    stopping: CancellationToken,
) {
    let idle = slot.idle().clone();
    let io = TokioIo::new(Watched { io, idle: idle.clone(), _held: slot.clone() });
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (endpoint, info, handling) = (endpoint.clone(), info.clone(), idle.begin_request());
        let slot = slot.clone();
        let is_served = !slot.for_probes || PROBES.contains(&request.uri().path());
        async move {
            let request = Request::from((request, info.local, info.remote, info.scheme));
            let response = if is_served { endpoint.get_response(request).await } else { too_many_connections() };
            let response = hyper::Response::from(response)
                .map(|body| UnsentBody::new(ActiveBody::new(body, handling.idle()), slot));
            drop(handling);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(timeouts.request).max_buf_size(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(16 * 1024)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    let serving = builder.serve_connection_with_upgrades(io, service);
    tokio::pin!(serving);
    let (mut closed, mut shutting_down) = (false, false);
    loop {
        tokio::select! {
            // In this order because nearly always the connection is ready.
            biased;
            // Errors are the client's: it is gone, too slow, or does not speak HTTP.
            _ = &mut serving => {
                // It may go on in another protocol.
                idle.never_idle();
                return;
            }
            () = slot.aborted() => return,
            () = slot.closed(), if !closed => {
                if idle.is_idle() {
                    return;
                }
                (closed, shutting_down) = (true, true);
                serving.as_mut().graceful_shutdown();
            }
            () = stopping.cancelled(), if !shutting_down => {
                shutting_down = true;
                serving.as_mut().graceful_shutdown();
            }
            () = idle.wait_until_idle_for(timeouts.silence) => return,
            () = idle.wait_until_answering_for(timeouts.response) => return,
        }
    }
}
