//! A fake node: a real server of the node protocol with users in memory, exact counters, and faults on request. Tests
//! use it as a library; `main.rs` is a program.
#![allow(dead_code, unused_imports, reason = "each user needs a part of it")]

pub mod control;
mod engine;
mod engine_control;
mod fixture;
mod listener;
pub mod process;
mod program;
mod raw;
mod service;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sarban::nodes::proto::Backend;
use sarban::nodes::proto::marz_service_server::MarzServiceServer;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Server;

pub use control::Controls;
pub use engine::{Event, NodeUser, Totals};
pub use fixture::Fixture;
pub use listener::Certificate;
pub use program::Program;
pub use raw::RawReply;

const MESSAGE_LIMIT: usize = 256 * 1024 * 1024;

/// The behaviour of a node.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address to listen on; port 0 is a free port.
    pub listen: SocketAddr,
    pub backends: Vec<Backend>,
    pub tls: bool,
    /// The node's certificate; `None` for a new one.
    pub certificate: Option<Certificate>,
    /// PEM of the only accepted client certificate; `None` if clients need no certificate.
    pub client_certificate: Option<String>,
    /// Closes connections after the TLS handshake, as nodes do that do not know the panel's certificate.
    pub hangs_up: bool,
    pub bytes_per_second: u64,
    /// True if a SyncUsers stream that was read to its end is answered. Nodes in the field end it with an error.
    pub acknowledge: bool,
    /// A real program as the engine, instead of `backends`. It runs from the first restart on.
    pub engine: Option<Program>,
}

/// A running node, which stops and loses its state on drop.
#[derive(Debug)]
pub struct TestNode {
    address: SocketAddr,
    controls: Controls,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 0).into(),
            backends: Fixture::built_in().backends,
            tls: false,
            certificate: None,
            client_certificate: None,
            hangs_up: false,
            bytes_per_second: 0,
            acknowledge: false,
            engine: None,
        }
    }
}

impl TestNode {
    /// Starts a node.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let controls = match &options.engine {
            Some(program) => Controls::with_program(program.clone()),
            None => Controls::new(options.backends.clone()),
        };
        let (address, incoming, accepting) = listener::listen(&options, controls.clone()).await?;
        let service = service::Service { controls: controls.clone(), acknowledge: options.acknowledge };
        let service = MarzServiceServer::new(service)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let service = raw::WithRawReplies { service, controls: controls.clone() };
        let serving = tokio::spawn(async move {
            let served = Server::builder().add_service(service).serve_with_incoming(incoming).await;
            served.expect("the node serves");
        });
        let mut tasks = vec![accepting, serving];
        if options.bytes_per_second > 0 {
            tasks.push(tokio::spawn(produce(controls.clone(), options.bytes_per_second)));
        }
        let tasks = tasks.into_iter().map(AbortOnDropHandle::new).collect();
        Ok(Self { address, controls, _tasks: tasks })
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }
}

impl std::ops::Deref for TestNode {
    type Target = Arc<control::Inner>;

    fn deref(&self) -> &Self::Target {
        &self.controls.0
    }
}

/// Adds these bytes per second to the traffic of every user, in ten parts.
async fn produce(controls: Controls, bytes_per_second: u64) {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    for part in 0_u64.. {
        tick.tick().await;
        let bytes = bytes_per_second / 10 + u64::from(part % 10 < bytes_per_second % 10);
        controls.0.engine().produce(bytes);
    }
}
