//! Coordination of processes: the lease, the fence, the members, and the ledger of task runs.

mod fence;
pub mod lease;
pub mod lease_connection;
pub mod members;
pub mod requests;
pub mod run_history;
pub mod runs;

pub(in crate::store) use fence::STATEMENTS as FENCE_STATEMENTS;
pub use fence::{Fence, FenceError, FencedTx};
