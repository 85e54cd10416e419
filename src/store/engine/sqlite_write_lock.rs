//! SQLite's write lock within one process, which the lease gets ahead of all other writers.
//!
//! SQLite is unfair to a waiting writer. So ordinary writers first wait in `queue`, and only the one at its head waits for
//! `lock`; the lease skips the queue. The lease therefore waits for at most one other writer.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

#[derive(Clone, Debug, Default)]
pub(in crate::store) struct WriteLock {
    queue: Arc<Mutex<()>>,
    lock: Arc<Mutex<()>>,
}

/// The head of the queue: the next ordinary writer.
#[derive(Debug)]
pub(in crate::store) struct QueueHead {
    lock: Arc<Mutex<()>>,
    _queue: Option<OwnedMutexGuard<()>>,
}

/// The write lock, held until dropped.
#[derive(Debug)]
pub struct WriteGuard {
    _lock: OwnedMutexGuard<()>,
    head: QueueHead,
}

impl WriteLock {
    /// Waits until all ordinary writers that came before are done.
    pub(in crate::store) async fn queue(&self) -> QueueHead {
        QueueHead { lock: self.lock.clone(), _queue: Some(self.queue.clone().lock_owned().await) }
    }

    /// Acquires the lock ahead of the queue: waits only for the current writer.
    pub(in crate::store) async fn acquire_first(&self) -> WriteGuard {
        QueueHead { lock: self.lock.clone(), _queue: None }.acquire().await
    }
}

impl QueueHead {
    /// Waits for the lock.
    pub(in crate::store) async fn acquire(self) -> WriteGuard {
        WriteGuard { _lock: self.lock.clone().lock_owned().await, head: self }
    }
}

impl WriteGuard {
    /// Releases the lock, so that the lease can have it, and stays at the head of the queue.
    pub(in crate::store) fn release(self) -> QueueHead {
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lease_overtakes_every_queued_writer() {
        let write_lock = WriteLock::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let writing = write_lock.queue().await.acquire().await;
        let mut waiting = Vec::new();
        for n in 0..5 {
            let (write_lock, order) = (write_lock.clone(), order.clone());
            waiting.push(tokio::spawn(async move {
                let _guard = write_lock.queue().await.acquire().await;
                order.lock().await.push(n);
            }));
            tokio::task::yield_now().await;
        }
        let (of_lease, lease_order) = (write_lock.clone(), order.clone());
        let lease = tokio::spawn(async move {
            let _guard = of_lease.acquire_first().await;
            lease_order.lock().await.push(99);
        });
        tokio::task::yield_now().await;
        drop(writing);
        lease.await.expect("the lease acquires the lock");
        for task in waiting {
            task.await.expect("every writer acquires the lock");
        }
        assert_eq!(*order.lock().await, [99, 0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn writer_that_releases_the_lock_stays_at_the_head_of_the_queue() {
        let write_lock = WriteLock::default();
        let head = write_lock.queue().await.acquire().await.release();
        let lease = write_lock.acquire_first().await;
        drop(lease);
        let next = tokio::time::timeout(std::time::Duration::from_millis(20), write_lock.queue()).await;
        assert!(next.is_err(), "another writer is at the head");
        drop(head.acquire().await);
        write_lock.queue().await.acquire().await;
    }
}
