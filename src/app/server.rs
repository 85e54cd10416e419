//! The HTTP server: each connection is a task, and one that does nothing for long, or sends its request for ever, is
//! closed. (poem's own server can't be told when to give up.)

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::idle_tracker::{IdleTracker, Watched};

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the end of an answer (or the beginning) to the next request's last header, over HTTP/1. Longer than any
    /// proxy keeps a connection that it does not use: who closes first should be the one that would send next.
    pub request: Duration,
    /// Without a byte in either direction while no request is being worked on: nobody there, or an answer that
    /// nobody takes.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { request: Duration::from_secs(130), silence: Duration::from_secs(130) }
    }
}

/// After a failure to accept: out of file descriptors, most likely, and it passes.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Serves until `stop`, then lets those who are inside finish for at most `grace`.
pub async fn serve(
    mut acceptor: impl Acceptor + 'static,
    endpoint: impl Endpoint<Output = Response> + 'static,
    timeouts: Timeouts,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let endpoint = Arc::new(endpoint);
    let (connections, stopping, over) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = acceptor.accept() => accepted,
        };
        let Ok((io, local, remote, scheme)) = accepted else {
            sleep(ACCEPT_BACKOFF).await;
            continue;
        };
        let info = ConnectionInfo { local, remote, scheme };
        let connection = connection(io, info, endpoint.clone(), timeouts, stopping.clone());
        connections.spawn(over.clone().run_until_cancelled_owned(connection));
    }
    drop(acceptor);
    stopping.cancel();
    connections.close();
    if timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were cut off: they took longer than the grace");
        over.cancel();
        connections.wait().await;
    }
}

/// What a request is told of its connection.
#[derive(Clone)]
struct ConnectionInfo {
    local: LocalAddr,
    remote: RemoteAddr,
    scheme: Scheme,
}

async fn connection<Io: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    io: Io,
    info: ConnectionInfo,
    endpoint: Arc<impl Endpoint<Output = Response> + 'static>,
    timeouts: Timeouts,
    stopping: CancellationToken,
) {
    let idle = Arc::new(IdleTracker::default());
    let io = TokioIo::new(Watched { io, idle: idle.clone() });
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (endpoint, info, work) = (endpoint.clone(), info.clone(), idle.work());
        async move {
            let request = Request::from((request, info.local, info.remote, info.scheme));
            let response = endpoint.get_response(request).await;
            drop(work);
            Ok::<_, Infallible>(hyper::Response::from(response))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(timeouts.request);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(16 * 1024);
    let serving = builder.serve_connection_with_upgrades(io, service);
    tokio::pin!(serving);
    let mut told = false;
    loop {
        tokio::select! {
            // Nearly always it is the connection that has something to do.
            biased;
            // Its errors are the client's: gone, too slow, or not HTTP.
            _ = &mut serving => return,
            () = stopping.cancelled(), if !told => {
                told = true;
                serving.as_mut().graceful_shutdown();
            }
            () = idle.stops_for(timeouts.silence) => return,
        }
    }
}
