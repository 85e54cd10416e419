//! A full sync: record what the node offers, replace all its users, then renew the keys that changed.

use tokio::time::{Instant, timeout};

use super::{BATCH, Session, SyncedKeys};
use crate::nodes::connection::NodeConnection;
use crate::nodes::full_lists::MemoryPermit;
use crate::nodes::messages;
use crate::nodes::node_error::NodeError;
use crate::nodes::pending_changes::Receiver;
use crate::nodes::proto::UserData;
use crate::nodes::session_error::SessionError;
use crate::nodes::sync_stream::SyncStream;
use crate::store::nodes::offers::MOST_STORED;
use crate::store::nodes::sync_state::{self, FirstSeen, KeyClock, SyncBegin};

impl Session<'_> {
    /// Runs a full sync, over `stream` or a new one. Returns the stream and the number of users.
    pub(super) async fn full_sync(
        &mut self,
        connection: &NodeConnection,
        changes: &Receiver,
        stream: Option<SyncStream>,
        first_seen: Option<FirstSeen>,
    ) -> Result<(SyncStream, usize), SessionError> {
        let started = Instant::now();
        let clock = self.record_offer(connection, changes, first_seen).await?;
        let initial = SyncedKeys { before_last: clock.synced, last: clock.synced };
        let keys = *self.keys.get_or_insert(initial);
        let renew_after = keys.before_last.min(clock.synced);
        let db = self.context.fence.db();
        let (list, memory) = self.context.full_lists.obtain(db, self.node, renew_after).await?;
        changes.add_full_list(list.users);
        let users = list.count + list.renewed.len();

        self.repopulate(connection, list.encoded, list.count, memory).await?;
        let mut stream = match stream {
            Some(stream) => stream,
            None => SyncStream::open(connection.clone(), self.context.timing.batch).await?,
        };
        self.renew_keys(&mut stream, &list.renewed).await?;

        self.in_flight = false;
        self.renewed.clear();
        self.keys = Some(SyncedKeys { before_last: keys.last, last: clock.now });
        sync_state::end_sync(&self.context.fence, self.node, clock.now, self.context.clock.now()).await?;
        metrics::counter!("sarban_node_full_syncs_total").increment(1);
        metrics::histogram!("sarban_node_full_sync_seconds").record(started.elapsed().as_secs_f64());
        Ok((stream, users))
    }

    /// Writes the node's engines and inbounds to the database, and that a full sync has started.
    async fn record_offer(
        &self,
        connection: &NodeConnection,
        changes: &Receiver,
        first_seen: Option<FirstSeen>,
    ) -> Result<KeyClock, SessionError> {
        let offer = messages::offer(self.node, connection.fetch_backends().await?, first_seen);
        let replaces_dropped = changes.start_full_sync();
        let now = self.context.clock.now();
        match sync_state::begin_sync(&self.context.fence, self.node, &offer, replaces_dropped, now).await? {
            SyncBegin::Deleted => Err(SessionError::Deleted),
            SyncBegin::TooMany { unreported } => {
                Err(NodeError::TooManyInbounds { unreported, reported: offer.inbounds.len(), most: MOST_STORED }.into())
            }
            SyncBegin::Begun { clock, absent } => {
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
                Ok(clock)
            }
        }
    }

    /// Sends the list. A node that takes longer than `permit` no longer counts against the memory of new full syncs.
    async fn repopulate(
        &mut self,
        connection: &NodeConnection,
        list: Vec<u8>,
        users: usize,
        memory: MemoryPermit<'_>,
    ) -> Result<(), SessionError> {
        let timing = &self.context.timing;
        self.before_send()?;
        let repopulating = connection.repopulate(list, timing.list_limit(users));
        tokio::pin!(repopulating);
        if let Ok(done) = timeout(timing.permit, &mut repopulating).await {
            return Ok(done?);
        }
        let too_slow = || NodeError::NoAnswer { call: "RepopulateUsers", limit: timing.permit };
        let _memory = memory.move_to_slow().ok_or_else(too_slow)?;
        Ok(repopulating.await?)
    }

    /// Sends users whose key changed, which the list left out.
    async fn renew_keys(&mut self, stream: &mut SyncStream, renewed: &[UserData]) -> Result<(), SessionError> {
        for batch in renewed.chunks(BATCH) {
            for message in batch {
                self.send(stream, message.clone()).await?;
            }
            stream.turn_over(self.context.timing.settle).await?;
        }
        Ok(())
    }
}
