//! Calls that change a node's users. They run to their end, whatever becomes of the session that made them.
//!
//! A node changes an engine first and its own memory second. A call that is broken off in between leaves the two apart,
//! and the node then refuses every change of that user until its engine restarts. So the session's tasks only wait for
//! these calls and never cancel them, and the next session with the same node starts when they have ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::connection::Target;
use crate::domain::ids::NodeId;
use crate::foundation::{lock, with_sources};
use crate::store::nodes::hold;
use crate::store::{Db, StoreError};

/// Interval of the renewals of a hold on a node. A hold lasts longer than two of them.
const RENEWAL: Duration = Duration::from_secs(2);

/// The running calls of this process, by the address and the port of their node: a node keeps its users when its row is
/// replaced. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct RunningCalls(Arc<Mutex<HashMap<(String, i64), TaskTracker>>>);

impl RunningCalls {
    /// Returns the running calls of one node. Its `wait` returns when none is left.
    pub(super) fn of(&self, target: &Target) -> TaskTracker {
        let mut all = lock(&self.0);
        let calls = all.entry((target.address.clone(), target.port)).or_default();
        // A closed tracker still takes tasks; an open one would have its waiters wait for ever.
        calls.close();
        calls.clone()
    }

    /// Waits until no call is left. Each call has a time limit of its own.
    pub(super) async fn ended(&self) {
        let all: Vec<TaskTracker> = lock(&self.0).values().cloned().collect();
        for calls in all {
            calls.wait().await;
        }
    }
}

/// Has other leaders leave a node alone until these calls have ended. A hold that is not renewed expires, so that one of
/// a process that was killed lasts a few seconds.
pub(super) async fn hold_until_ended(db: Db, node: NodeId, calls: TaskTracker) {
    let holding = async {
        loop {
            sleep(RENEWAL).await;
            report(node, hold::renew(&db, node).await);
        }
    };
    tokio::select! {
        () = calls.wait() => {}
        () = holding => {}
    }
    report(node, hold::release(&db, node).await);
}

/// Logs that a hold could not be renewed or released.
pub(super) fn report(node: NodeId, held: Result<(), StoreError>) {
    if let Err(error) = held {
        let error = with_sources(&error);
        tracing::debug!(node = node.0, error, "could not renew or release the hold on a node; it expires by itself");
    }
}
