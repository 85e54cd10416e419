//! A full sync: record what the node offers, replace all its users, then renew the keys that changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::parts::Refused;
use super::units::{Unit, in_batches};
use super::{Session, SyncedKeys};
use crate::nodes::connected::ConnectedNode;
use crate::nodes::connection::NodeConnection;
use crate::nodes::doubt::Doubt;
use crate::nodes::full_lists::{MemoryPermit, Renewal};
use crate::nodes::messages::{self, id};
use crate::nodes::node_error::NodeError;
use crate::nodes::pending_changes::Receiver;
use crate::nodes::proto::UserData;
use crate::nodes::refusals::Way;
use crate::nodes::report::{self, Report};
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::{StreamOpener, SyncStream};
use crate::store::nodes::offers::MOST_STORED;
use crate::store::nodes::sync_state::{self, FirstSeen, KeyClock, SyncBegin, SyncEnd};
use crate::store::nodes::{doubt, edit_lock};

/// A running call with a full list. Dropped, it goes on if the node may have begun, and is broken off otherwise.
struct ListCall {
    end: JoinHandle<Result<(), NodeError>>,
    sent: Arc<AtomicBool>,
}

impl ListCall {
    fn start(calls: &TaskTracker, connection: NodeConnection, list: Vec<u8>, limit: Duration) -> Self {
        let sent = Arc::<AtomicBool>::default();
        let flag = sent.clone();
        Self { end: calls.spawn(async move { connection.repopulate(list, limit, flag).await }), sent }
    }

    /// Waits for the node's answer. Cancel-safe.
    async fn answer(&mut self) -> Result<(), NodeError> {
        let interrupted = |error: tokio::task::JoinError| NodeError::Broken {
            call: "RepopulateUsers",
            detail: error.to_string(),
            unsent: false,
        };
        (&mut self.end).await.map_err(interrupted)?
    }

    fn is_sent(&self) -> bool {
        self.sent.load(SeqCst)
    }
}

impl Drop for ListCall {
    fn drop(&mut self) {
        if !self.is_sent() {
            self.end.abort();
        }
    }
}

impl Session<'_> {
    /// Runs a full sync, over `stream` or a new one. Returns the stream and the number of operations.
    pub(super) async fn full_sync(
        &mut self,
        connected: &ConnectedNode,
        calls: &TaskTracker,
        changes: &Receiver,
        stream: Option<SyncStream>,
        first_seen: Option<FirstSeen>,
    ) -> Result<(SyncStream, usize), SessionError> {
        let (connection, is_first) = (&connected.connection, stream.is_none());
        self.refused_is_in_doubt = self.way == Way::InParts;
        self.engine_is_settled().await?;
        let started = Instant::now();
        let (clock, engines) = self.record_offer(connection, changes, first_seen).await?;
        if is_first {
            // The full sync of a large node takes minutes.
            self.context.health.reachable(connected.clone());
        }
        let initial = SyncedKeys { before_last: clock.synced, last: clock.synced };
        let keys = *self.keys.get_or_insert(initial);
        let db = self.context.fence.db();
        let renewal = Renewal { after: keys.before_last.min(clock.synced), doubt: self.doubt.clone() };
        let (mut list, mut memory) = self.context.full_lists.obtain(db, self.node, &renewal).await?;
        let users = list.users.len();
        let probes = self.probes(&list.users).await?;
        changes.add_full_list(list.users.clone());
        let operations = list.operations;
        let limit = self.context.timing.limit(operations);
        let mut opened = stream;
        let mut refused = Refused::default();
        let encoded = match self.way {
            Way::Usual => std::mem::take(&mut list.encoded),
            Way::InParts => {
                // It takes much longer than a list.
                memory = self.as_slow(memory)?;
                let mut stream = match opened {
                    Some(stream) => stream,
                    None => self.open_stream(connection, calls).await?,
                };
                self.find_unusable(&mut stream, &engines).await?;
                refused = self.send_in_parts(&mut stream, &list, &probes).await?;
                opened = Some(stream);
                let (left_out, unusable) = (refused.left_out(), &self.unusable);
                let change = |user: UserData| match left_out.contains(&id(&user)) {
                    true => messages::removal(&user),
                    false => unusable.narrowed(user),
                };
                let known = refused.as_known(&probes).filter(|user| !unusable.keeps(id(user)));
                list.whole(known.chain(unusable.gone().cloned()), change).await
            }
        };

        let none_refused = self.none_refused(&refused.units);
        self.before_send()?;
        let call = ListCall::start(calls, connection.clone(), encoded, limit);
        self.repopulated(call, memory).await?;
        let mut stream = match opened {
            Some(stream) => stream,
            None => self.open_stream(connection, calls).await?,
        };
        match self.way {
            Way::Usual => {
                let renewed = messages::users(&list.renewed).map(|user| vec![user]);
                self.send_units(&mut stream, renewed.chain(probes.units)).await?;
            }
            Way::InParts => none_refused?,
        }

        (self.in_flight, self.refused_is_in_doubt) = (false, false);
        self.synced = true;
        self.way = if self.unusable.is_empty() { Way::Usual } else { Way::InParts };
        self.doubt = Doubt::default();
        self.renewed.clear();
        // They are renewed once the node can remove them.
        let key_seq = if self.unusable.has_former_keys() { keys.last } else { clock.now };
        self.keys = Some(SyncedKeys { before_last: keys.last, last: key_seq });
        let end = SyncEnd { key_seq, users: i64::try_from(users).unwrap_or(i64::MAX) };
        sync_state::end_sync(&self.context.fence, self.node, end, self.context.clock.now()).await?;
        self.record_gone().await?;
        metrics::counter!("sarban_node_full_syncs_total").increment(1);
        metrics::histogram!("sarban_node_full_sync_seconds").record(started.elapsed().as_secs_f64());
        Ok((stream, operations))
    }

    /// Records who is not to be on the node and can't be removed, for the next session, which may be another leader's. A full
    /// sync has cleared it.
    pub(super) async fn record_gone(&self) -> Result<(), SessionError> {
        let gone = self.gone();
        if !gone.is_empty() {
            doubt::record(&self.context.fence, self.node, &gone, false).await?;
        }
        Ok(())
    }

    /// Waits while a configuration is tried out on the node: its inbounds may be gone in a moment. The lock expires.
    async fn engine_is_settled(&self) -> Result<(), SessionError> {
        while edit_lock::is_held(self.context.fence.db(), self.node).await? {
            if !self.context.fence.is_alive() {
                return Err(SessionError::Deposed);
            }
            sleep(self.context.timing.poll_waiting).await;
        }
        Ok(())
    }

    async fn open_stream(&self, connection: &NodeConnection, calls: &TaskTracker) -> Result<SyncStream, NodeError> {
        let opener = StreamOpener {
            connection: connection.clone(),
            calls: calls.clone(),
            fence: self.context.fence.clone(),
            timing: self.context.timing.clone(),
        };
        SyncStream::open(opener).await
    }

    /// Writes the node's engines and inbounds to the database, and that a full sync has started. Returns the tags of the
    /// inbounds of each engine, too.
    async fn record_offer(
        &mut self,
        connection: &NodeConnection,
        changes: &Receiver,
        first_seen: Option<FirstSeen>,
    ) -> Result<(KeyClock, Vec<Vec<String>>), SessionError> {
        let Report { offer, tags_by_engine } =
            report::read(self.node, &connection.fetch_backends().await?, first_seen)?;
        let replaces_dropped = changes.start_full_sync();
        let now = self.context.clock.now();
        match sync_state::begin_sync(&self.context.fence, self.node, &offer, replaces_dropped, now).await? {
            SyncBegin::Deleted => Err(SessionError::Deleted),
            SyncBegin::TooMany { unreported } => {
                Err(NodeError::TooManyInbounds { unreported, reported: offer.inbounds.len(), most: MOST_STORED }.into())
            }
            SyncBegin::Begun { clock, absent, differs } => {
                if absent > 0 {
                    tracing::warn!(
                        node = self.node.0,
                        inbounds = absent,
                        reported = offer.inbounds.len(),
                        "the node no longer reports some of its inbounds; they are left out of subscriptions and keep \
                         their hosts and services until the node reports them again or an admin deletes them"
                    );
                }
                changes.full_sync_started();
                if differs {
                    self.context.health.new_report.send_replace(());
                }
                Ok((clock, tags_by_engine))
            }
        }
    }

    /// Waits until the node has answered a list. A list that is still being sent after `permit` no longer counts against
    /// the memory of new full syncs; one that was sent needs no memory.
    async fn repopulated(&self, mut call: ListCall, memory: MemoryPermit<'_>) -> Result<(), SessionError> {
        let permit = self.context.timing.permit;
        if let Ok(answer) = timeout(permit, call.answer()).await {
            return Ok(answer?);
        }
        let _memory = if call.is_sent() {
            drop(memory);
            None
        } else {
            Some(self.as_slow(memory)?)
        };
        Ok(call.answer().await?)
    }

    /// Counts a full sync among the slow ones.
    fn as_slow<'m>(&self, memory: MemoryPermit<'m>) -> Result<MemoryPermit<'m>, NodeError> {
        let limit = self.context.timing.permit;
        memory.move_to_slow().ok_or(NodeError::NoAnswer { call: "RepopulateUsers", limit })
    }

    /// Sends what the list left out.
    async fn send_units(
        &mut self,
        stream: &mut SyncStream,
        units: impl Iterator<Item = Unit>,
    ) -> Result<(), SessionError> {
        for batch in in_batches(units) {
            self.send_all(stream, &batch).await?;
            stream.turn_over().await?;
        }
        Ok(())
    }
}
