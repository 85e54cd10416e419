//! One node's task: session after session, with growing pauses in between.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::link::Target;
use super::session::{Context, Session, SessionError};
use crate::domain::ids::NodeId;
use crate::store::node_sync::{self, NodeRow};

/// A running task and what it was started for.
#[derive(Debug)]
pub(super) struct NodeTask {
    pub row: NodeRow,
    pub stop: CancellationToken,
    /// Rung: another full sync is wanted.
    pub resync: Arc<Notify>,
    pub handle: JoinHandle<()>,
}

impl NodeTask {
    /// Whether it may go on as the row is now. A pin that was taken away, or another sync request, wants a new
    /// connection; a pin that came was set by the task itself.
    pub(super) fn fits(&self, row: &NodeRow) -> bool {
        let old = &self.row;
        let re_pin = old.certificate_pin.is_some() && row.certificate_pin != old.certificate_pin;
        let place = |row: &NodeRow| (row.address.clone(), row.port, row.connection_backend.clone(), row.sync_request);
        !self.handle.is_finished() && !re_pin && place(old) == place(row)
    }
}

/// Keeps a node in step until told to stop.
pub(super) async fn keep(
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
        let began = Instant::now();
        let mut session = Session::new(&context, node);
        let ended = tokio::select! {
            ended = attempt(&mut session, node, &context, &resync, &mut rng) => ended,
            () = stop.cancelled() => SessionError::Deposed,
        };
        match ended {
            SessionError::Link(error) => {
                tracing::info!(node = row.name, reason = %error, "the session with a node ended");
                metrics::counter!("sarban_node_sessions_broken_total").increment(1);
                context.roster.failed(node, error.to_string());
            }
            SessionError::Database(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(node = row.name, error, "a node could not be synced: the database did not answer");
            }
            SessionError::Deposed => session.step_down().await,
            SessionError::Gone => return,
        }
        if began.elapsed() >= context.timing.steady {
            pause = first;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause.mul_f64(rng.random_range(0.5..1.0))) => {}
        }
        pause = (2 * pause).min(longest);
    }
}

/// The row is read anew for each attempt: the pin and the coefficient may have changed.
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
    let row = match node_sync::node(context.fence.db(), node).await {
        Ok(Some(row)) => row,
        Ok(None) => return SessionError::Gone,
        Err(error) => return SessionError::Database(error),
    };
    session.run(&Target::from(&row), row.usage_coefficient, resync, rng).await
}
