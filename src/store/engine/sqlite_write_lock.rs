//! The order of writers on SQLite within one process: one at a time, and the lease goes first.
//!
//! SQLite is unfair to a waiting writer. So everybody queues for the `bench`, and whoever sits on it queues for the
//! `pen`; the lease skips the bench. It therefore waits for at most one other writer.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

#[derive(Clone, Debug, Default)]
pub(in crate::store) struct WriteGate {
    bench: Arc<Mutex<()>>,
    pen: Arc<Mutex<()>>,
}

/// A place on the bench.
#[derive(Debug)]
pub(in crate::store) struct Place {
    pen: Arc<Mutex<()>>,
    _bench: Option<OwnedMutexGuard<()>>,
}

/// The right to write, until dropped.
#[derive(Debug)]
pub struct Turn {
    _pen: OwnedMutexGuard<()>,
    place: Place,
}

impl WriteGate {
    /// Waits in the queue with all ordinary writers.
    pub(in crate::store) async fn place(&self) -> Place {
        Place { pen: self.pen.clone(), _bench: Some(self.bench.clone().lock_owned().await) }
    }

    /// Waits for the writer that is writing now, and for nobody else.
    pub(in crate::store) async fn first(&self) -> Turn {
        Place { pen: self.pen.clone(), _bench: None }.turn().await
    }
}

impl Place {
    /// Waits for the pen.
    pub(in crate::store) async fn turn(self) -> Turn {
        Turn { _pen: self.pen.clone().lock_owned().await, place: self }
    }
}

impl Turn {
    /// Lets the lease have the pen, and stays next on the bench.
    pub(in crate::store) fn give_back(self) -> Place {
        self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_lease_overtakes_every_waiting_writer() {
        let gate = WriteGate::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let writing = gate.place().await.turn().await;
        let mut waiting = Vec::new();
        for n in 0..5 {
            let (gate, order) = (gate.clone(), order.clone());
            waiting.push(tokio::spawn(async move {
                let _turn = gate.place().await.turn().await;
                order.lock().await.push(n);
            }));
            tokio::task::yield_now().await;
        }
        let (lease_gate, lease_order) = (gate.clone(), order.clone());
        let lease = tokio::spawn(async move {
            let _turn = lease_gate.first().await;
            lease_order.lock().await.push(99);
        });
        tokio::task::yield_now().await;
        drop(writing);
        lease.await.expect("the lease gets its turn");
        for task in waiting {
            task.await.expect("every writer gets its turn");
        }
        assert_eq!(*order.lock().await, [99, 0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn whoever_gives_the_pen_back_stays_first_on_the_bench() {
        let gate = WriteGate::default();
        let place = gate.place().await.turn().await.give_back();
        let lease = gate.first().await;
        drop(lease);
        let next = tokio::time::timeout(std::time::Duration::from_millis(20), gate.place()).await;
        assert!(next.is_err(), "the bench is taken");
        drop(place.turn().await);
        gate.place().await.turn().await;
    }
}
