//! One connection's life: connect, learn what the node offers, give it all its users, then keep it in step change by
//! change, until something breaks.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::connected::ConnectedNode;
use super::full_lists::Lists;
use super::full_sync;
use super::link::{Link, Target};
use super::link_error::LinkError;
use super::node_health::Roster;
use super::pending_changes::{Desk, Letter, Mailbox, Post};
use super::proto::UserData;
use super::supervisor::Timing;
use super::sync_stream::SyncStream;
use super::tls::PanelIdentity;
use crate::clock::Clock;
use crate::domain::ids::{NodeId, UserId};
use crate::foundation::with_sources;
use crate::store::nodes::sync_state;
use crate::store::nodes::sync_state::FirstSeen;
use crate::store::{Fence, FenceError, StoreError};

/// At most so many changes go over one stream.
const BATCH: usize = 2_000;

/// Changes that are to be acknowledged together.
type Batch = HashMap<UserId, Uuid>;

/// What all sessions of a term share.
#[derive(Debug)]
pub(super) struct Context {
    pub fence: Fence,
    pub clock: Clock,
    pub identity: PanelIdentity,
    pub timing: Timing,
    pub roster: Arc<Roster>,
    pub desk: Arc<Desk>,
    pub lists: Lists,
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
        if let Err(error) = sync_state::mark_dirty(self.context.fence.db(), self.node, renew_from).await {
            let error = with_sources(&error);
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
        let timing = &self.context.timing;
        let (mut stream, users) = self.full_sync(&link, &mailbox, None, link.first_seen(target)).await?;
        // A node may still be at work on a list that came over another connection, whoever sent it and whether he is
        // there or not, and undo ours as it ends. So the first list is followed by another when that must be over.
        let mut pause = timing.patience(users).min(timing.resync).mul_f64(rng.random_range(1.0..1.2));
        loop {
            self.context.roster.arrived(ConnectedNode { id: self.node, coefficient, link: link.clone() });
            self.follow(&mut stream, &mailbox, Instant::now() + pause, resync).await?;
            (stream, _) = self.full_sync(&link, &mailbox, Some(stream), None).await?;
            pause = timing.resync.mul_f64(rng.random_range(0.9..1.1));
        }
    }

    /// Writes what the node offers, then gives it all its users. Returns how many those are, too.
    async fn full_sync(
        &mut self,
        link: &Link,
        mailbox: &Mailbox,
        stream: Option<SyncStream>,
        first_seen: Option<FirstSeen>,
    ) -> Result<(SyncStream, usize), SessionError> {
        let began = Instant::now();
        let Context { fence, timing, .. } = self.context;
        let offer = full_sync::offer(self.node, link.fetch_backends().await?, first_seen);
        let gave_up = mailbox.begin_full();
        let clock = sync_state::begin_sync(fence, self.node, &offer, gave_up).await?.ok_or(SessionError::Gone)?;
        mailbox.begun();
        let (before, last) = *self.keys.get_or_insert((clock.synced, clock.synced));
        let renew_after = before.min(clock.synced);
        let (list, room) = self.context.lists.obtain(fence.db(), self.node, renew_after).await?;
        mailbox.has(list.users);
        let patience = timing.patience(list.count);
        self.about_to_send()?;
        let repopulating = link.repopulate(list.settled, patience);
        tokio::pin!(repopulating);
        if let Ok(done) = timeout(timing.permit, &mut repopulating).await {
            done?;
            drop(room);
        } else {
            // A slow node does not hold up the others.
            let too_slow = || LinkError::NoAnswer { call: "RepopulateUsers", limit: timing.permit };
            let _room = room.make_way().ok_or_else(too_slow)?;
            repopulating.await?;
        }
        let mut stream = match stream {
            Some(stream) => stream,
            None => SyncStream::open(link.clone(), timing.batch).await?,
        };
        for batch in list.renewed.chunks(BATCH) {
            for message in batch {
                self.send(&mut stream, message.clone()).await?;
            }
            stream.turn_over(timing.settle).await?;
        }
        self.in_flight = false;
        self.renewed.clear();
        self.keys = Some((last, clock.now));
        sync_state::end_sync(fence, self.node, clock.now, self.context.clock.now()).await?;
        metrics::counter!("sarban_node_full_syncs_total").increment(1);
        metrics::histogram!("sarban_node_full_sync_seconds").record(began.elapsed().as_secs_f64());
        Ok((stream, list.count + list.renewed.len()))
    }

    /// Sends changes as they come, until a full sync is due.
    ///
    /// Changes go on while the end of the last batch is awaited, over the next stream. Only of a user that is in that
    /// batch nothing new may be sent: two streams have no order.
    async fn follow(
        &mut self,
        stream: &mut SyncStream,
        mailbox: &Mailbox,
        due: Instant,
        resync: &Notify,
    ) -> Result<(), SessionError> {
        let mut sent = Batch::new();
        let mut closing: Option<(BoxFuture<'static, Result<(), LinkError>>, Batch)> = None;
        let mut held: Option<Letter> = None;
        let mut over = false;
        loop {
            if over && sent.is_empty() && closing.is_none() && held.is_none() {
                return Ok(());
            }
            tokio::select! {
                biased;
                broken = stream.broken() => return Err(broken.into()),
                closed = async { match &mut closing { Some((closed, _)) => closed.await, None => pending().await } } => {
                    closed?;
                    if let Some((_, batch)) = closing.take() {
                        metrics::counter!("sarban_node_changes_delivered_total").increment(batch.len() as u64);
                        mailbox.delivered(batch);
                    }
                    self.in_flight = !sent.is_empty();
                    if let Some(letter) = held.take() {
                        sent.insert(letter.user.id, letter.change);
                        self.send_letter(stream, letter).await?;
                    }
                }
                () = sleep_until(due), if !over => over = true,
                () = resync.notified(), if !over => over = true,
                post = mailbox.next(), if !over && held.is_none() && sent.len() < BATCH => match post {
                    Post::Flooded => over = true,
                    Post::Letter(letter) => {
                        if closing.as_ref().is_some_and(|(_, batch)| batch.contains_key(&letter.user.id)) {
                            held = Some(letter);
                            continue;
                        }
                        sent.insert(letter.user.id, letter.change);
                        self.send_letter(stream, letter).await?;
                    }
                },
                // Nothing more lies ready.
                () = ready(()), if closing.is_none() && !sent.is_empty() => {
                    closing = Some((stream.turn_over(self.context.timing.settle), std::mem::take(&mut sent)));
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
