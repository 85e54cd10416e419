//! One node's task: session after session, with growing pauses in between.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::link::Target;
use super::session::{Context, Session, SessionError};
use crate::domain::ids::NodeId;
use crate::foundation::with_sources;
use crate::store::nodes::sync_state;
use crate::store::nodes::sync_state::NodeRow;

/// A running task and what it was started for.
#[derive(Debug)]
pub(super) struct NodeTask {
    pub row: NodeRow,
    /// Another full sync was asked for: when the last one had been (see the row), and when that was asked.
    pub asked: Option<(Option<i64>, Instant)>,
    pub stop: CancellationToken,
    /// Rung: another full sync is wanted.
    pub resync: Arc<Notify>,
    pub handle: JoinHandle<()>,
}

impl NodeTask {
    /// Whether it may go on as the row is now. A pin that was taken away wants a new connection; a pin that came was set
    /// by the task itself. A sync request is served over the connection that there is, or is being made, so that the
    /// node goes on being asked for its usage meanwhile; where that has failed, or nothing came of a request for as long
    /// as `patience`, it wants a new one.
    pub(super) fn fits(&self, row: &NodeRow, works: bool, patience: Duration) -> bool {
        let old = &self.row;
        let re_pin = old.certificate_pin.is_some() && row.certificate_pin != old.certificate_pin;
        let place = |row: &NodeRow| (row.address.clone(), row.port, row.connection_backend.clone());
        let in_vain = self.asked.is_some_and(|(after, at)| after == row.synced_at && at.elapsed() >= patience);
        let serves = !self.is_asked(row) || (works && !in_vain);
        !self.handle.is_finished() && !re_pin && place(old) == place(row) && serves
    }

    /// Has the session give its node everything anew.
    pub(super) fn resync(&mut self, row: &NodeRow) {
        if self.asked.is_none_or(|(after, _)| after != row.synced_at) {
            self.asked = Some((row.synced_at, Instant::now()));
        }
        self.resync.notify_one();
    }

    /// Whether somebody asked for a full sync since.
    pub(super) fn is_asked(&self, row: &NodeRow) -> bool {
        self.row.sync_request != row.sync_request
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
                let error = with_sources(&error);
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
    let row = match sync_state::node(context.fence.db(), node).await {
        Ok(Some(row)) => row,
        Ok(None) => return SessionError::Gone,
        Err(error) => return SessionError::Database(error),
    };
    session.run(&Target::from(&row), row.usage_coefficient, resync, rng).await
}
