//! One connection's life: connect, read what the node offers, send it all its users, then send changes until something
//! breaks.

mod follow;
mod full_sync;
mod parts;
mod probes;
mod units;
mod unusable;
mod unusable_search;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::FutureExt;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::unusable::Unusable;
use super::connected::ConnectedNode;
use super::connection::{NodeConnection, Target};
use super::doubt::Doubt;
use super::full_lists::FullLists;
use super::messages;
use super::node_error::NodeError;
use super::node_health::HealthRegistry;
use super::pending_changes::{PendingChange, Tracker};
use super::proto::UserData;
use super::refusals::Way;
use super::running_calls::{RunningCalls, hold_until_ended, report};
use super::session_error::SessionError;
use super::sync_stream::SyncStream;
use super::timing::Timing;
use super::tls::PanelIdentity;
use crate::clock::Clock;
use crate::domain::ids::{NodeId, UserId};
use crate::foundation::with_sources;
use crate::store::Fence;
use crate::store::nodes::doubt::Users;
use crate::store::nodes::{hold, sync_state};

/// State shared by all sessions of a term.
#[derive(Debug)]
pub(super) struct Context {
    pub fence: Fence,
    pub clock: Clock,
    pub identity: PanelIdentity,
    pub timing: Timing,
    pub health: Arc<HealthRegistry>,
    pub tracker: Tracker,
    pub full_lists: FullLists,
    /// Users whose changes the last leader had not confirmed, with their names.
    pub unconfirmed: Users,
    pub calls: RunningCalls,
    /// Cancelled when the term is over or is being handed over.
    pub leaving: CancellationToken,
    /// Tasks that keep the next leader from nodes with running calls of this process.
    pub holding: TaskTracker,
}

/// A session with one node, and which keys it has renewed. After its connection it only reports whether a send was
/// unconfirmed.
#[derive(Debug)]
pub(super) struct Session<'a> {
    context: &'a Context,
    node: NodeId,
    /// How the next full sync is made.
    way: Way,
    /// A full sync has ended.
    synced: bool,
    /// A full sync in parts is running: whom the node refuses is in doubt, also if one has ended before.
    refused_is_in_doubt: bool,
    keys: Option<SyncedKeys>,
    /// Keys renewed since the last full sync, by user.
    renewed: HashMap<UserId, i64>,
    /// Something was sent and is not confirmed.
    in_flight: bool,
    /// Of whom the node may have made half a change: those in doubt when the session began, until its full sync, and those
    /// of whom something was sent and is not confirmed.
    doubt: Doubt,
    /// The node's running calls.
    calls: Option<TaskTracker>,
    /// Inbounds that messages leave out.
    unusable: Unusable,
}

/// How far full syncs have renewed changed keys, as readings of the clock `key_change`.
///
/// A full sync goes back to `before_last`: a late message of a deposed leader may have undone the last one.
#[derive(Clone, Copy, Debug)]
struct SyncedKeys {
    before_last: i64,
    last: i64,
}

impl<'a> Session<'a> {
    pub(super) fn new(context: &'a Context, node: NodeId, way: Way, doubt: Doubt) -> Self {
        let renewed = HashMap::new();
        Self {
            context,
            node,
            way,
            synced: false,
            refused_is_in_doubt: false,
            keys: None,
            renewed,
            in_flight: false,
            doubt,
            calls: None,
            unusable: Unusable::default(),
        }
    }

    /// Runs the session until something breaks. A notification of `resync` starts another full sync.
    pub(super) async fn run(
        &mut self,
        target: &Target,
        coefficient: f64,
        resync: &Notify,
        rng: &mut StdRng,
    ) -> SessionError {
        let Err(error) = self.serve(target, coefficient, resync, rng).await;
        // A node that refuses a user counts the bytes of all others.
        if !matches!(error, SessionError::Node(NodeError::Refused { .. })) {
            self.context.health.disconnected(self.node);
        }
        error
    }

    /// Returns how the next full sync is to be made, if the session had one.
    pub(super) fn synced(&self) -> Option<Way> {
        self.synced.then_some(self.way)
    }

    /// Returns whom the next session is to see to, after an end with this error.
    pub(super) fn take_doubt(&mut self, ended: &SessionError) -> Doubt {
        let mut doubt = std::mem::take(&mut self.doubt);
        let refused = matches!(ended, SessionError::Node(NodeError::Refused { .. }));
        if refused && self.synced && !self.refused_is_in_doubt {
            // The node itself ended its call. To remove users of a change that it does not accept would only cut them off.
            doubt = doubt.of_removed();
        }
        for (user, name) in self.gone() {
            doubt.add_removed(user, name);
        }
        doubt
    }

    /// Returns the users who are not to be on the node and can't be removed.
    fn gone(&self) -> Users {
        let user = |message: &UserData| message.user.clone().unwrap_or_default();
        self.unusable.gone().map(user).map(|user| (UserId(i64::from(user.id)), user.username)).collect()
    }

    /// Notes the calls of an earlier session that this one waits for before it begins.
    pub(super) fn waits_for(&mut self, calls: TaskTracker) {
        self.calls = Some(calls);
    }

    /// Marks the node dirty if the session is stopped with an unconfirmed send, which may still arrive. If the term is
    /// over, the next leader also leaves the node alone until the running calls have ended, its own or those that
    /// it waits for.
    pub(super) async fn step_down(self) {
        self.context.health.disconnected(self.node);
        let renew_from = self.keys.map_or(0, |keys| keys.before_last);
        let leaves = self.context.leaving.is_cancelled() || !self.context.fence.is_alive();
        let db = self.context.fence.db();
        let in_flight = self.in_flight;
        if let Some(calls) = self.calls.filter(|calls| leaves && (in_flight || !calls.is_empty())) {
            if !in_flight {
                // Otherwise the mark below holds the node, too.
                report(self.node, hold::renew(db, self.node).await);
            }
            self.context.holding.spawn(hold_until_ended(db.clone(), self.node, calls));
        }
        if !in_flight {
            return;
        }
        if let Err(error) = sync_state::mark_dirty(db, self.node, renew_from, leaves).await {
            let error = with_sources(&error);
            tracing::warn!(
                node = self.node.0,
                error,
                "could not mark a node with unconfirmed sends as dirty; resync the node if it has outdated users"
            );
        }
    }

    async fn serve(
        &mut self,
        target: &Target,
        coefficient: f64,
        resync: &Notify,
        rng: &mut StdRng,
    ) -> Result<Infallible, SessionError> {
        let connection = NodeConnection::connect(target, &self.context.identity).await?;
        // Register before reading the database: every change is then in the list, in the queue, or in both.
        let changes = self.context.tracker.register(self.node);
        // The first full sync serves every request made up to here.
        resync.notified().now_or_never();
        let timing = &self.context.timing;
        let calls = self.context.calls.of(target);
        self.calls = Some(calls.clone());
        let first_seen = connection.first_seen(target);
        let connected = ConnectedNode::new(self.node, coefficient, connection);
        let (mut stream, operations) = self.full_sync(&connected, &calls, &changes, None, first_seen).await?;
        // The node may still be applying a list that it got over an earlier connection, perhaps from another leader,
        // and may thereby undo this one. So a second full sync follows when that list must have ended.
        let mut pause = timing.limit(operations).min(timing.resync).mul_f64(rng.random_range(1.0..1.2));
        loop {
            self.context.health.in_step(self.node, self.unusable.fault());
            self.follow(&mut stream, &changes, Instant::now() + pause, resync).await?;
            (stream, _) = self.full_sync(&connected, &calls, &changes, Some(stream), None).await?;
            pause = timing.resync.mul_f64(rng.random_range(0.9..1.1));
        }
    }

    async fn send_change(&mut self, stream: &mut SyncStream, change: PendingChange) -> Result<(), SessionError> {
        let PendingChange { user, tags, .. } = change;
        if tags.is_empty() {
            self.doubt.add_removed(user.id, user.username.clone());
        } else {
            self.doubt.add(user.id, user.username.clone());
        }
        let last_sync = self.keys.map_or(0, |keys| keys.last);
        let renewed = self.renewed.get(&user.id).copied().unwrap_or(last_sync).max(last_sync);
        if user.key_change_seq > renewed
            && let Ok(id) = u32::try_from(user.id.0)
        {
            self.unusable.has_new_key(id);
        }
        if user.key_change_seq > renewed && !tags.is_empty() {
            // A node compares tags only: it takes a new key only for a user that it does not have.
            if let Some(removal) = messages::user_data::<&str>(&user, &[]) {
                self.send(stream, removal).await?;
            }
            self.renewed.insert(user.id, user.key_change_seq);
        }
        if let Some(message) = messages::user_data(&user, &tags) {
            let is_news = self.unusable.is_news(messages::id(&message), tags.is_empty());
            self.send(stream, message).await?;
            if is_news {
                self.record_gone().await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, stream: &mut SyncStream, message: UserData) -> Result<(), SessionError> {
        self.before_send()?;
        Ok(stream.send(self.unusable.narrowed(message)).await?)
    }

    /// To be called directly before each send: a deposed leader must send nothing.
    fn before_send(&mut self) -> Result<(), SessionError> {
        if !self.context.fence.is_alive() {
            return Err(SessionError::Deposed);
        }
        self.in_flight = true;
        Ok(())
    }
}
