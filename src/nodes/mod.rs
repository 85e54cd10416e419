//! The link to the nodes: connections, certificates, user sync and usage. See ARCHITECTURE.md, "Nodes".

pub mod collector;
mod connected;
pub mod connection;
mod dispatcher;
pub mod engine_watch;
mod fingerprint;
mod fleet;
mod full_lists;
mod messages;
pub mod node_error;
mod node_health;
mod node_task;
pub mod one_off;
pub mod panel_certificate;
mod pending_changes;
pub mod proto;
mod replay;
mod running_calls;
mod session;
mod session_error;
pub mod spool;
mod staging;
pub mod supervisor;
mod sync_stream;
mod timing;
mod tls;
mod transport;

pub use connected::{ConnectedNode, UsageError};
pub use fingerprint::Fingerprint;
pub use supervisor::Supervisor;
pub use timing::Timing;
pub use tls::PanelIdentity;
