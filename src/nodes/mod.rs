//! The link to the nodes: connect, pin, keep users in step, fetch usage. See ARCHITECTURE.md, "Users on their way to nodes".

pub mod collector;
mod connected;
mod desk;
mod dispatcher;
mod full_sync;
pub mod link;
pub mod link_error;
mod lists;
mod node_task;
pub mod panel_certificate;
mod roster;
mod session;
pub mod spool;
pub mod supervisor;
mod sync_stream;
mod tls;
pub mod visit;
mod wire;

pub use connected::{ConnectedNode, UsageError};
pub use supervisor::{Supervisor, Timing};
pub use tls::{Fingerprint, PanelIdentity};

/// The messages and the client of the node protocol, as generated from `proto/marznode.proto`.
#[allow(missing_docs, clippy::all, clippy::unwrap_used)]
pub mod proto {
    tonic::include_proto!("marznode");
}
