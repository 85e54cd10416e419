//! One node's task: session after session, with a growing pause in between.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::connection::Target;
use super::session::{Context, Session};
use super::session_error::SessionError;
use crate::domain::ids::NodeId;
use crate::foundation::with_sources;
use crate::store::nodes::sync_state::{self, NodeRow};

/// A running task, and the node's row when it was started.
#[derive(Debug)]
pub(super) struct NodeTask {
    pub row: NodeRow,
    /// The oldest sync request without a full sync since: the row's `synced_at` then, and when the request was seen.
    pub asked: Option<(Option<i64>, Instant)>,
    pub stop: CancellationToken,
    /// A notification starts another full sync.
    pub resync: Arc<Notify>,
    pub handle: JoinHandle<()>,
}

impl NodeTask {
    /// Returns whether the task may continue with the node's current row.
    ///
    /// A removed pin needs a new connection; an added pin was set by the task itself. A sync request is served over the
    /// task's connection, also one that is being made, so that usage is fetched meanwhile. A failed task, and one that
    /// has not served a request for as long as `patience`, needs a new connection.
    pub(super) fn fits(&self, row: &NodeRow, works: bool, patience: Duration) -> bool {
        let old = &self.row;
        let repinned = old.certificate_pin.is_some() && row.certificate_pin != old.certificate_pin;
        let target = |row: &NodeRow| (row.address.clone(), row.port, row.connection_backend.clone());
        let unserved = self.asked.is_some_and(|(after, at)| after == row.synced_at && at.elapsed() >= patience);
        let serves = !self.is_asked(row) || (works && !unserved);
        !self.handle.is_finished() && !repinned && target(old) == target(row) && serves
    }

    /// Has the session start another full sync.
    pub(super) fn resync(&mut self, row: &NodeRow) {
        if self.asked.is_none_or(|(after, _)| after != row.synced_at) {
            self.asked = Some((row.synced_at, Instant::now()));
        }
        self.resync.notify_one();
    }

    /// Returns whether the row has a sync request that the task has not seen.
    pub(super) fn is_asked(&self, row: &NodeRow) -> bool {
        self.row.sync_request != row.sync_request
    }
}

/// Runs sessions with a node until `stop`, or until the node is deleted.
pub(super) async fn run_sessions(
    context: Arc<Context>,
    row: NodeRow,
    stop: CancellationToken,
    resync: Arc<Notify>,
    mut rng: StdRng,
) {
    let node = NodeId(row.id);
    let (first, longest) = context.timing.backoff;
    let mut pause = first;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let mut session = Session::new(&context, node);
        let ended = tokio::select! {
            ended = attempt(&mut session, node, &context, &resync, &mut rng) => ended,
            () = stop.cancelled() => SessionError::Deposed,
        };
        match ended {
            SessionError::Node(error) => {
                tracing::info!(node = row.name, reason = %error, "the session with a node ended; connecting again");
                metrics::counter!("sarban_node_sessions_broken_total").increment(1);
                context.health.failed(node, error.to_string());
            }
            SessionError::Database(error) => {
                let error = with_sources(&error);
                tracing::warn!(
                    node = row.name,
                    error,
                    "the session with a node ended because a query failed; connecting again"
                );
            }
            SessionError::Deposed => session.step_down().await,
            SessionError::Deleted => return,
        }
        if started.elapsed() >= context.timing.steady {
            pause = first;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause.mul_f64(rng.random_range(0.5..1.0))) => {}
        }
        pause = (2 * pause).min(longest);
    }
}

/// Runs one session with the node's current row: the pin and the coefficient may have changed.
async fn attempt(
    session: &mut Session<'_>,
    node: NodeId,
    context: &Context,
    resync: &Notify,
    rng: &mut StdRng,
) -> SessionError {
    if !context.fence.is_alive() {
        return SessionError::Deposed;
    }
    let row = match sync_state::node(context.fence.db(), node).await {
        Ok(Some(row)) => row,
        Ok(None) => return SessionError::Deleted,
        Err(error) => return SessionError::Database(error),
    };
    session.run(&Target::from(&row), row.usage_coefficient, resync, rng).await
}
