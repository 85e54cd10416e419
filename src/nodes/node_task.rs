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
use super::doubt::Doubt;
use super::healing::{self, Healing, HealingError};
use super::node_error::NodeError;
use super::refusals::{Refusals, Way};
use super::session::{Context, Session};
use super::session_error::SessionError;
use super::timing::AFTER_FAILURE;
use crate::domain::ids::NodeId;
use crate::foundation::with_sources;
use crate::store::nodes::doubt::{self, Users};
use crate::store::nodes::hold;
use crate::store::nodes::sync_state::{self, NodeRow};
use crate::store::{Db, StoreError};

/// Interval between two looks at a node that another process holds.
const HELD_POLL: Duration = Duration::from_millis(200);

/// A running task, and the node's row when it was started.
#[derive(Debug)]
pub(super) struct NodeTask {
    pub row: NodeRow,
    /// The oldest sync request without a full sync since: the row's `synced_at` then, and when the request was seen.
    pub asked: Option<(Option<i64>, Instant)>,
    pub stop: CancellationToken,
    /// A notification starts another full sync.
    pub resync: Arc<Notify>,
    /// A notification ends the pause before the next connection.
    pub reconnect: Arc<Notify>,
    pub handle: JoinHandle<()>,
}

impl NodeTask {
    /// Returns whether the task may continue with the node's current row.
    ///
    /// A removed pin needs a new connection; an added pin was set by the task itself. A sync request is served over the
    /// task's connection, also one that is being made, so that usage is fetched meanwhile. A task that has not served a
    /// request for as long as `patience` needs a new connection.
    pub(super) fn fits(&self, row: &NodeRow, patience: Duration) -> bool {
        let old = &self.row;
        let repinned = old.certificate_pin.is_some() && row.certificate_pin != old.certificate_pin;
        let target = |row: &NodeRow| (row.address.clone(), row.port, row.connection_backend.clone());
        let unserved = self.asked.is_some_and(|(after, at)| after == row.synced_at && at.elapsed() >= patience);
        let serves = !self.is_asked(row) || !unserved;
        !self.handle.is_finished() && !repinned && target(old) == target(row) && serves
    }

    /// Has the session start another full sync, or a task without one connect at once.
    pub(super) fn resync(&mut self, row: &NodeRow) {
        if self.asked.is_none_or(|(after, _)| after != row.synced_at) {
            self.asked = Some((row.synced_at, Instant::now()));
        }
        self.resync.notify_one();
        self.reconnect.notify_one();
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
    reconnect: Arc<Notify>,
    mut rng: StdRng,
) {
    let node = NodeId(row.id);
    let (first, longest) = context.timing.backoff;
    let mut pause = first;
    let Some(before) = stop.run_until_cancelled(known_before(&context, &row)).await else { return };
    let (mut refusals, mut recorded) = before;
    let mut doubt = Doubt::new(recorded.clone());
    for (user, name) in &context.unconfirmed {
        doubt.add(*user, name.clone());
    }
    while !stop.is_cancelled() {
        let started = Instant::now();
        let mut session = Session::new(&context, node, refusals.way(), doubt);
        let ended = tokio::select! {
            ended = attempt(&mut session, node, &context, &resync, &mut rng) => ended,
            () = stop.cancelled() => SessionError::Deposed,
        };
        let refused = refusals.record(&ended, session.synced());
        doubt = session.take_doubt(&ended);
        if session.synced().is_some() {
            recorded = Users::new();
        }
        if matches!(ended, SessionError::Node(_)) && (refused || *doubt.users() != recorded) {
            match doubt::record(&context.fence, node, doubt.users(), refused).await {
                Ok(()) => recorded.clone_from(doubt.users()),
                // It is recorded after the next session.
                Err(error) => tracing::debug!(node = row.name, %error, "could not record a node's users in doubt"),
            }
        }
        match ended {
            SessionError::Node(error) => {
                tracing::info!(node = row.name, reason = %error, "the session with a node ended; connecting again");
                metrics::counter!("sarban_node_sessions_broken_total").increment(1);
                if refused && refusals.persist(context.timing.refused) {
                    let healing = heal_refusing(&context, node, &error);
                    if stop.run_until_cancelled(healing).await == Some(true) {
                        // Engines that restart get the users in the node's memory, but for inbounds that take none.
                        (refusals, doubt) = (Refusals::in_parts(), doubt.of_removed());
                        continue;
                    }
                } else {
                    let answers = matches!(error, NodeError::Refused { .. });
                    context.health.failed(node, error.to_string(), answers);
                }
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
            () = stop.cancelled() => return leave_running_calls(&context, &row).await,
            () = sleep(pause.mul_f64(rng.random_range(0.5..1.0))) => {}
            () = reconnect.notified() => {}
        }
        pause = (2 * pause).min(longest);
    }
}

/// Returns what an earlier leader has seen of the node's refusals, and whom it left in doubt.
async fn known_before(context: &Context, row: &NodeRow) -> (Refusals, Users) {
    loop {
        match read_before(context.fence.db(), row).await {
            Ok(before) => return before,
            Err(error) => tracing::debug!(node = row.name, %error, "could not read whom a node refused; trying again"),
        }
        sleep(AFTER_FAILURE).await;
    }
}

async fn read_before(db: &Db, row: &NodeRow) -> Result<(Refusals, Users), StoreError> {
    let refused_for = doubt::refused_for(db, row).await?;
    let refusals = refused_for.map(|time| Refusals::resumed(Duration::from_micros(time.unsigned_abs())));
    Ok((refusals.unwrap_or_default(), doubt::users(db, NodeId(row.id)).await?))
}

/// Has the next leader leave the node alone until the calls of a session that failed have ended.
async fn leave_running_calls(context: &Context, row: &NodeRow) {
    let mut session = Session::new(context, NodeId(row.id), Way::Usual, Doubt::default());
    session.waits_for(context.calls.of(&Target::from(row)));
    session.step_down().await;
}

/// Restarts the engines of a node that has refused its users in every way, if that is due. Returns whether it has.
async fn heal_refusing(context: &Arc<Context>, node: NodeId, refusal: &NodeError) -> bool {
    let healed = match sync_state::node(context.fence.db(), node).await {
        Ok(Some(row)) => healing::heal(context, &row).await,
        // The next session finds out.
        Ok(None) => return false,
        Err(error) => Err(error.into()),
    };
    let message = match &healed {
        Ok(Healing::Restarted) => {
            format!("{refusal}; its engines were restarted with their own configurations, and a full sync follows")
        }
        Ok(Healing::NotDue(interval)) => format!(
            "{refusal}; its engines were restarted less than {} s ago, and that did not help: restart marznode on the node",
            interval.as_secs()
        ),
        Ok(Healing::Off) => format!("{refusal}; restart the node's engine or marznode itself"),
        Ok(Healing::Busy) => format!("{refusal}; an admin is changing the configuration of an engine"),
        Err(error) => format!("{refusal}; {error}"),
    };
    let restarted = matches!(healed, Ok(Healing::Restarted));
    if restarted || matches!(healed, Err(HealingError::NotRestarted { .. })) {
        tracing::warn!(
            node = node.0,
            reason = message,
            "the engines of a node that kept refusing its users were restarted"
        );
    }
    context.health.failed(node, message, true);
    restarted
}

/// Runs one session with the node's current row: the pin and the coefficient may have changed.
async fn attempt(
    session: &mut Session<'_>,
    node: NodeId,
    context: &Context,
    resync: &Notify,
    rng: &mut StdRng,
) -> SessionError {
    match free_node(session, node, context).await {
        Ok(row) => session.run(&Target::from(&row), row.usage_coefficient, resync, rng).await,
        Err(error) => error,
    }
}

/// Waits until no call is running that another session of this process or of an earlier leader made: two calls at a time
/// may fail on each other's users. Returns the node's current row.
async fn free_node(session: &mut Session<'_>, node: NodeId, context: &Context) -> Result<NodeRow, SessionError> {
    let db = context.fence.db();
    loop {
        if !context.fence.is_alive() {
            return Err(SessionError::Deposed);
        }
        let row = sync_state::node(db, node).await?.ok_or(SessionError::Deleted)?;
        let calls = context.calls.of(&Target::from(&row));
        session.waits_for(calls.clone());
        if calls.is_empty() && !hold::is_held(db, row.held_until).await? {
            return Ok(row);
        }
        calls.wait().await;
        sleep(context.timing.poll_waiting.min(HELD_POLL)).await;
    }
}
