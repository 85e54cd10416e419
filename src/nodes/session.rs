//! One connection's life: connect, learn what the node offers, give it all its users, then keep it in step change by
//! change, until something breaks.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::FutureExt;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::connected::ConnectedNode;
use super::desk::{Desk, Letter, Mailbox};
use super::full_sync;
use super::link::{Link, Target};
use super::link_error::LinkError;
use super::proto::{UserData, UsersData};
use super::roster::Roster;
use super::supervisor::Timing;
use super::sync_stream::SyncStream;
use super::tls::PanelIdentity;
use crate::clock::Clock;
use crate::domain::ids::{NodeId, UserId};
use crate::store::node_sync::{self, FirstSeen};
use crate::store::{Fence, FenceError, StoreError};

/// At most so many changes wait for one acknowledgement.
const BATCH: usize = 200;

/// What all sessions of a term share.
#[derive(Debug)]
pub(super) struct Context {
    pub fence: Fence,
    pub clock: Clock,
    pub identity: PanelIdentity,
    pub timing: Timing,
    pub roster: Arc<Roster>,
    pub desk: Arc<Desk>,
    /// Bounds how many full lists of users are in memory at once.
    pub full_syncs: Semaphore,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Database(#[from] StoreError),
    #[error("this process does not lead any more")]
    Deposed,
    #[error("the node is gone")]
    Gone,
}

/// A session's memory of what its node has. It outlives a connection only to say whether something was under way.
#[derive(Debug)]
pub(super) struct Session<'a> {
    context: &'a Context,
    node: NodeId,
    /// Readings of `key_change`: every key changed up to `keys.1` was renewed by the last full sync, up to `keys.0` by
    /// the one before. A full sync goes back to the latter: a deposed leader's late message may have undone the last.
    keys: Option<(i64, i64)>,
    /// Keys renewed since the last full sync.
    renewed: HashMap<UserId, i64>,
    /// Something was sent and is not acknowledged.
    in_flight: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(context: &'a Context, node: NodeId) -> Self {
        Self { context, node, keys: None, renewed: HashMap::new(), in_flight: false }
    }

    /// Lives until something breaks. `resync` asks for another full sync.
    pub(super) async fn run(
        &mut self,
        target: &Target,
        coefficient: f64,
        resync: &Notify,
        rng: &mut StdRng,
    ) -> SessionError {
        let ended = self.live(target, coefficient, resync, rng).await;
        self.context.roster.left(self.node);
        match ended {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    /// When the leader steps down with something under way, the next one must know that it may still arrive.
    pub(super) async fn step_down(self) {
        self.context.roster.left(self.node);
        if !self.in_flight {
            return;
        }
        let renew_from = self.keys.map_or(0, |(before, _)| before);
        if let Err(error) = node_sync::mark_dirty(self.context.fence.db(), self.node, renew_from).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(node = self.node.0, error, "a node with sends under way could not be marked");
        }
    }

    async fn live(
        &mut self,
        target: &Target,
        coefficient: f64,
        resync: &Notify,
        rng: &mut StdRng,
    ) -> Result<Infallible, SessionError> {
        let link = Link::connect(target, &self.context.identity).await?;
        // First the mailbox, then the database: a change is in what is read, or in the mailbox, or in both.
        let mailbox = self.context.desk.open(self.node);
        // Whoever asked for a full sync up to here gets this one.
        resync.notified().now_or_never();
        let mut stream = self.full_sync(&link, None, link.first_seen(target)).await?;
        loop {
            self.context.roster.arrived(ConnectedNode { id: self.node, coefficient, link: link.clone() });
            let due = Instant::now() + self.context.timing.resync.mul_f64(rng.random_range(0.9..1.1));
            self.follow(&mut stream, &mailbox, due, resync).await?;
            stream = self.full_sync(&link, Some(stream), None).await?;
        }
    }

    /// Writes what the node offers, then gives it all its users.
    async fn full_sync(
        &mut self,
        link: &Link,
        stream: Option<SyncStream>,
        first_seen: Option<FirstSeen>,
    ) -> Result<SyncStream, SessionError> {
        let began = Instant::now();
        let Context { fence, timing, .. } = self.context;
        let offer = full_sync::offer(self.node, link.fetch_backends().await?, first_seen);
        let clock = node_sync::begin_sync(fence, self.node, &offer).await?.ok_or(SessionError::Gone)?;
        let (before, last) = *self.keys.get_or_insert((clock.synced, clock.synced));

        let permit = self.context.full_syncs.acquire().await.map_err(|_| SessionError::Deposed)?;
        let snapshot = full_sync::read(fence.db(), self.node, before.min(clock.synced)).await?;
        let patience = full_sync::patience(snapshot.settled.len());
        self.about_to_send()?;
        let repopulating = link.repopulate(UsersData { users_data: snapshot.settled }, patience);
        tokio::pin!(repopulating);
        // A slow node does not hold up the others: by then its list is on its way.
        if let Ok(done) = timeout(timing.permit, &mut repopulating).await {
            done?;
            drop(permit);
        } else {
            drop(permit);
            repopulating.await?;
        }
        let mut stream = match stream {
            Some(stream) => stream,
            None => SyncStream::open(link.clone(), timing.batch).await?,
        };
        for batch in snapshot.renewed.chunks(BATCH) {
            for message in batch {
                self.send(&mut stream, message.clone()).await?;
            }
            sleep(stream.settle_time(timing.settle)).await;
            stream.turn_over().await?;
        }
        self.in_flight = false;
        self.renewed.clear();
        self.keys = Some((last, clock.now));
        node_sync::end_sync(fence, self.node, clock.now, self.context.clock.now()).await?;
        metrics::counter!("sarban_node_full_syncs_total").increment(1);
        metrics::histogram!("sarban_node_full_sync_seconds").record(began.elapsed().as_secs_f64());
        Ok(stream)
    }

    /// Sends changes as they come, until a full sync is due.
    async fn follow(
        &mut self,
        stream: &mut SyncStream,
        mailbox: &Mailbox,
        due: Instant,
        resync: &Notify,
    ) -> Result<(), SessionError> {
        let settle = stream.settle_time(self.context.timing.settle);
        let mut batch: Vec<(UserId, Uuid)> = Vec::new();
        let mut quiet_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                broken = stream.broken() => return Err(broken.into()),
                () = sleep_until(due), if batch.is_empty() => return Ok(()),
                () = resync.notified(), if batch.is_empty() => return Ok(()),
                letter = mailbox.next(), if batch.len() < BATCH => {
                    batch.push((letter.user.id, letter.change));
                    self.send_letter(stream, letter).await?;
                    quiet_at = Instant::now() + settle;
                }
                () = sleep_until(quiet_at), if !batch.is_empty() => {
                    stream.turn_over().await?;
                    self.in_flight = false;
                    metrics::counter!("sarban_node_changes_delivered_total").increment(batch.len() as u64);
                    mailbox.delivered(batch.drain(..));
                }
            }
        }
    }

    async fn send_letter(&mut self, stream: &mut SyncStream, letter: Letter) -> Result<(), SessionError> {
        let Letter { user, tags, .. } = letter;
        let last_sync = self.keys.map_or(0, |(_, last)| last);
        let known = self.renewed.get(&user.id).copied().unwrap_or(last_sync).max(last_sync);
        if user.key_change_seq > known && !tags.is_empty() {
            // The node compares tags alone: only a user that it does not have gets the new key.
            if let Some(removal) = full_sync::message::<&str>(&user, &[]) {
                self.send(stream, removal).await?;
            }
            self.renewed.insert(user.id, user.key_change_seq);
        }
        if let Some(message) = full_sync::message(&user, &tags) {
            self.send(stream, message).await?;
        }
        Ok(())
    }

    async fn send(&mut self, stream: &mut SyncStream, message: UserData) -> Result<(), SessionError> {
        self.about_to_send()?;
        Ok(stream.send(message).await?)
    }

    /// Directly before each send: a deposed leader must not tell nodes anything.
    fn about_to_send(&mut self) -> Result<(), SessionError> {
        if !self.context.fence.is_alive() {
            return Err(SessionError::Deposed);
        }
        self.in_flight = true;
        Ok(())
    }
}

impl From<FenceError> for SessionError {
    fn from(error: FenceError) -> Self {
        match error {
            FenceError::Deposed => Self::Deposed,
            FenceError::Store(error) => Self::Database(error),
        }
    }
}
