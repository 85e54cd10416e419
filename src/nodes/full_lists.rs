//! Full lists of users, for many nodes at a time: whoever waits for one is served by the same reading of the database.
//!
//! After a fail-over every node wants its list at once. Read for each node alone, a thousand nodes with a hundred
//! thousand users would read a hundred million rows. And a list is one message that must be in memory whole, so there
//! is room for so many bytes of lists and no more.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::task::yield_now;

use super::full_sync::List;
use super::session::SessionError;
use crate::domain::ids::{NodeId, UserId};
use crate::foundation::lock;
use crate::store::nodes::expected_users;
use crate::store::{Db, StoreError};

/// Users per page: reading one keeps a worker from its requests for a millisecond.
const PAGE: usize = 500;
/// So many users are added to lists, one to all of them at least, before others may have the worker.
const STINT: usize = 1_000;
/// Room for lists is counted in this many bytes; no list takes less.
const UNIT: usize = 4 * 1024 * 1024;
/// As many units for lists on their way, and as many again for those whose nodes are slow.
const UNITS: usize = 48;
/// What a user takes in a list until one has been read.
const USUAL_USER: usize = 128;

/// Reads lists.
#[derive(Debug)]
pub(super) struct Lists {
    waiting: Mutex<Vec<Order>>,
    reading: tokio::sync::Mutex<()>,
    /// Bytes of the largest list so far.
    largest: AtomicUsize,
    quick: Semaphore,
    slow: Semaphore,
}

#[derive(Debug)]
struct Order {
    node: NodeId,
    renew_after: i64,
    deliver: oneshot::Sender<List>,
}

/// Memory for a list. To be kept until the list is gone.
#[derive(Debug)]
pub(super) struct Room<'a> {
    lists: &'a Lists,
    _permit: SemaphorePermit<'a>,
    units: u32,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            largest: AtomicUsize::new(0),
            quick: Semaphore::new(UNITS),
            slow: Semaphore::new(UNITS),
        }
    }
}

impl Lists {
    /// The list of a node, as soon as there is room for it. It shows the database as it is after this call began.
    pub(super) async fn obtain(
        &self,
        db: &Db,
        node: NodeId,
        renew_after: i64,
    ) -> Result<(List, Room<'_>), SessionError> {
        let units = self.units(db).await?;
        let permit = self.quick.acquire_many(units).await.map_err(|_| SessionError::Deposed)?;
        let room = Room { lists: self, _permit: permit, units };
        loop {
            let (deliver, mut delivery) = oneshot::channel();
            self.waiting().push(Order { node, renew_after, deliver });
            let turn = self.reading.lock().await;
            match delivery.try_recv() {
                Ok(list) => return Ok((list, room)),
                // Whoever read for us failed or was called off.
                Err(TryRecvError::Closed) => continue,
                Err(TryRecvError::Empty) => {}
            }
            let orders = std::mem::take(&mut *self.waiting());
            let lists = read(db, &orders).await?;
            for (order, list) in orders.into_iter().zip(lists) {
                self.largest.fetch_max(list.settled.len(), Relaxed);
                // Who does not wait any more needs none.
                order.deliver.send(list).ok();
            }
            drop(turn);
            if let Ok(list) = delivery.try_recv() {
                return Ok((list, room));
            }
        }
    }

    async fn units(&self, db: &Db) -> Result<u32, StoreError> {
        let bytes = match self.largest.load(Relaxed) {
            0 => usize::try_from(expected_users::newest(db).await?.0).unwrap_or(0).saturating_mul(USUAL_USER),
            largest => largest,
        };
        Ok(bytes.div_ceil(UNIT).clamp(1, UNITS) as u32)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Order>> {
        lock(&self.waiting)
    }
}

impl<'a> Room<'a> {
    /// Moves to the place for slow nodes, so that these do not keep others from beginning. `None`: that is full, too.
    pub(super) fn make_way(self) -> Option<SemaphorePermit<'a>> {
        self.lists.slow.try_acquire_many(self.units).ok()
    }
}

/// Reads all users once and adds each to the lists of the nodes that serve it.
async fn read(db: &Db, orders: &[Order]) -> Result<Vec<List>, StoreError> {
    let tags = expected_users::service_tags(db).await?;
    let mut lists: Vec<List> = orders.iter().map(|_| List::default()).collect();
    let mut after = UserId(i64::MIN);
    loop {
        let page = expected_users::live_page(db, after, PAGE).await?;
        for stint in page.chunks((STINT / orders.len().max(1)).max(1)) {
            for user in stint {
                for (order, list) in orders.iter().zip(&mut lists) {
                    list.add(user, &tags.of(user, order.node), order.renew_after);
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
