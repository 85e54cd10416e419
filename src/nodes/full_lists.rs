//! Builds the full lists of users, for many nodes in one pass over the database, within a memory limit.
//!
//! After a failover every node needs its list at once. A pass per node would read a hundred million rows for a thousand
//! nodes with a hundred thousand users. A list is one message that is in memory as a whole, so permits limit the bytes
//! of all lists together.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::task::yield_now;

use super::doubt::Doubt;
use super::messages::{FullList, Renew};
use super::session_error::SessionError;
use crate::domain::ids::{NodeId, UserId};
use crate::foundation::lock;
use crate::store::nodes::expected_users::{self, NodeUser};
use crate::store::{Db, StoreError};

/// Users per page; parsing a page occupies a worker thread for about a millisecond.
const PAGE: usize = 500;
/// Additions of a user to a list before the task yields the worker thread.
const BATCH: usize = 1_000;
/// Bytes per memory permit; a list takes at least one.
const UNIT: usize = 4 * 1024 * 1024;
/// Permits for lists that are being built or sent, and as many again for lists of slow nodes.
const UNITS: usize = 48;
/// Estimated bytes of a user in a list, until a list has been built.
const BYTES_PER_USER: usize = 128;

/// Builds full lists. Waiting requests share the next pass.
#[derive(Debug)]
pub(super) struct FullLists {
    requests: Mutex<Vec<Request>>,
    reading: tokio::sync::Mutex<()>,
    /// Bytes of the largest list built so far.
    largest: AtomicUsize,
    quick: Semaphore,
    slow: Semaphore,
}

/// The users whom a node is to remove before it gets them.
#[derive(Clone, Debug)]
pub(super) struct Renewal {
    /// A key that changed after this reading of the clock `key_change` is renewed.
    pub after: i64,
    /// The doubt about the node.
    pub doubt: Doubt,
}

impl Renewal {
    fn of(&self, user: &NodeUser) -> Option<Renew> {
        if user.key_change_seq > self.after {
            return Some(Renew::NewKey);
        }
        self.doubt.is_about(user.id).then_some(Renew::InDoubt)
    }
}

#[derive(Debug)]
struct Request {
    node: NodeId,
    renewal: Renewal,
    reply: oneshot::Sender<FullList>,
}

/// Memory for a list. To be held as long as the list exists.
#[derive(Debug)]
pub(super) struct MemoryPermit<'a> {
    lists: &'a FullLists,
    _permit: SemaphorePermit<'a>,
    units: u32,
    is_slow: bool,
}

impl Default for FullLists {
    fn default() -> Self {
        Self {
            requests: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            largest: AtomicUsize::new(0),
            quick: Semaphore::new(UNITS),
            slow: Semaphore::new(UNITS),
        }
    }
}

impl FullLists {
    /// Waits for memory, then builds a node's list. The list reflects every change committed before this call.
    pub(super) async fn obtain(
        &self,
        db: &Db,
        node: NodeId,
        renewal: &Renewal,
    ) -> Result<(FullList, MemoryPermit<'_>), SessionError> {
        let units = self.units(db).await?;
        let permit = self.quick.acquire_many(units).await.map_err(|_| SessionError::Deposed)?;
        let memory = MemoryPermit { lists: self, _permit: permit, units, is_slow: false };
        loop {
            let (reply, mut list) = oneshot::channel();
            self.requests().push(Request { node, renewal: renewal.clone(), reply });
            let reading = self.reading.lock().await;
            match list.try_recv() {
                Ok(list) => return Ok((list, memory)),
                // The task that took this request failed or was cancelled.
                Err(TryRecvError::Closed) => continue,
                Err(TryRecvError::Empty) => {}
            }
            let requests = std::mem::take(&mut *self.requests());
            let lists = build(db, &requests).await?;
            for (request, list) in requests.into_iter().zip(lists) {
                self.largest.fetch_max(list.bytes(), Relaxed);
                // A session that ended meanwhile needs no list.
                request.reply.send(list).ok();
            }
            drop(reading);
            if let Ok(list) = list.try_recv() {
                return Ok((list, memory));
            }
        }
    }

    async fn units(&self, db: &Db) -> Result<u32, StoreError> {
        let bytes = match self.largest.load(Relaxed) {
            0 => usize::try_from(expected_users::newest(db).await?.0).unwrap_or(0).saturating_mul(BYTES_PER_USER),
            largest => largest,
        };
        Ok(bytes.div_ceil(UNIT).clamp(1, UNITS) as u32)
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        lock(&self.requests)
    }
}

impl MemoryPermit<'_> {
    /// Exchanges the permit for one of the slow nodes' permits, so that slow nodes do not keep others from starting.
    /// `None`: these are used up, too.
    pub(super) fn move_to_slow(self) -> Option<Self> {
        if self.is_slow {
            return Some(self);
        }
        let permit = self.lists.slow.try_acquire_many(self.units).ok()?;
        Some(Self { _permit: permit, is_slow: true, ..self })
    }
}

/// Reads all users once and adds each to the lists of the nodes that serve the user.
async fn build(db: &Db, requests: &[Request]) -> Result<Vec<FullList>, StoreError> {
    let tags = expected_users::service_tags(db).await?;
    let mut lists: Vec<FullList> = requests.iter().map(|_| FullList::default()).collect();
    let mut after = UserId(i64::MIN);
    loop {
        let page = expected_users::live_page(db, after, PAGE).await?;
        for batch in page.chunks((BATCH / requests.len().max(1)).max(1)) {
            for user in batch {
                for (request, list) in requests.iter().zip(&mut lists) {
                    list.add(user, &tags.of(user, request.node), request.renewal.of(user));
                }
            }
            yield_now().await;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.id,
            _ => return Ok(lists),
        }
    }
}
