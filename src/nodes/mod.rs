//! The link to the nodes: connect, pin, keep users in step, fetch usage. See ARCHITECTURE.md, "Nodes".

pub mod collector;
mod connected;
mod dispatcher;
mod full_lists;
mod full_sync;
pub mod link;
pub mod link_error;
mod node_health;
mod node_task;
pub mod one_off;
pub mod panel_certificate;
mod pending_changes;
mod session;
pub mod spool;
pub mod supervisor;
mod sync_stream;
mod tls;
mod transport;

pub use connected::{ConnectedNode, UsageError};
pub use supervisor::{Supervisor, Timing};
pub use tls::{Fingerprint, PanelIdentity};

/// The messages and the client of the node protocol, as generated from `proto/marznode.proto`.
#[allow(missing_docs, clippy::all, clippy::unwrap_used)]
pub mod proto {
    tonic::include_proto!("marznode");
}
