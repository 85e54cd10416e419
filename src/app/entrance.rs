//! The listening socket of a panel, or the server that serves on it already because the start had to wait for the database. Its routes
//! are replaced once the panel runs: open connections stay, and none is refused.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, Request, Response};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connections::{Connections, Limits};
use super::listener::AnyAcceptor;
use super::server::{self, Timeouts};
use crate::config::http::Networks;
use crate::foundation::lock;

/// The end of accepting connections; returns when the requests in flight must have ended.
type Stop = Pin<Box<dyn Future<Output = Instant> + Send>>;

/// Where requests come in.
pub(super) enum Entrance {
    /// The socket: connections wait in its queue.
    Closed(AnyAcceptor),
    /// A server that serves other routes so far.
    Open(EarlyServer),
}

/// A server whose routes and whose end are given later.
pub(super) struct EarlyServer {
    routes: Routes,
    connections: Connections,
    stop: oneshot::Sender<Stop>,
    serving: JoinHandle<()>,
}

/// Routes that can be replaced while requests come in. Clones share them.
#[derive(Clone)]
struct Routes(Arc<Mutex<Arc<BoxEndpoint<'static>>>>);

impl Endpoint for Routes {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let current = lock(&self.0).clone();
        current.call(request).await
    }
}

impl Entrance {
    /// Serves these routes until the future that `stop` makes ends.
    pub(super) fn serve<S: Future<Output = Instant> + Send + 'static>(
        self,
        trusted: Networks,
        routes: impl Endpoint<Output = Response> + 'static,
        stop: impl FnOnce(Connections) -> S,
    ) -> JoinHandle<()> {
        match self {
            Self::Closed(acceptor) => {
                let connections = Connections::new(Limits::of_process(), trusted);
                let stop = stop(connections.clone());
                // As a task, so that a worker accepts a connection and goes on with it: this thread would have to wake one each time.
                tokio::spawn(server::serve(acceptor, connections, routes, Timeouts::default(), stop))
            }
            Self::Open(server) => {
                *lock(&server.routes.0) = Arc::new(routes.boxed());
                server.end(stop)
            }
        }
    }
}

impl EarlyServer {
    /// Starts to serve these routes.
    pub(super) fn start(
        acceptor: AnyAcceptor,
        trusted: Networks,
        routes: impl Endpoint<Output = Response> + 'static,
    ) -> Self {
        let routes = Routes(Arc::new(Mutex::new(Arc::new(routes.boxed()))));
        let connections = Connections::new(Limits::of_process(), trusted);
        let (stop, stops) = oneshot::channel::<Stop>();
        let stopping = async {
            match stops.await {
                Ok(stop) => stop.await,
                // The start has failed, and the process ends.
                Err(_) => Instant::now(),
            }
        };
        let serving = server::serve(acceptor, connections.clone(), routes.clone(), Timeouts::default(), stopping);
        Self { routes, connections, stop, serving: tokio::spawn(serving) }
    }

    /// Lets the server end with the future that `stop` makes.
    pub(super) fn end<S: Future<Output = Instant> + Send + 'static>(
        self,
        stop: impl FnOnce(Connections) -> S,
    ) -> JoinHandle<()> {
        // An error means that the server has ended by itself: so says its task.
        let _ = self.stop.send(Box::pin(stop(self.connections)));
        self.serving
    }
}
