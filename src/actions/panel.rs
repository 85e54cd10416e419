//! The panel as use cases see it: the database, the clock, change events and notification targets.

use futures_util::future::BoxFuture;

use super::changes::{Changed, Changes};
use super::notification_targets::LiveTargets;
use crate::clock::Clock;
use crate::store::{Db, StoreError, Transient, Tx, Work};

/// Everything that a use case needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The database.
    pub db: Db,
    /// The clock that stamps requests.
    pub clock: Clock,
    /// Publishes what a commit changed.
    pub changes: Changes,
    /// Receivers of notifications.
    pub targets: LiveTargets,
}

impl Panel {
    /// A panel whose changes reach no cache and no other process, and that notifies nobody.
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, changes: Changes::default(), targets: LiveTargets::default() }
    }

    /// Runs `work` in a transaction (see [`Db::transaction`]), commits it and publishes what it changed:
    /// the second part of its result, a [`Changed`] or an `Option` of one. This is the only way for actions to write.
    pub(super) fn transaction<'a, T, C, E>(
        &'a self,
        name: &'static str,
        work: impl AsyncFnMut(&mut Tx) -> Result<(T, C), E> + for<'t> Work<'t, Tx, (T, C), E> + 'a,
    ) -> BoxFuture<'a, Result<T, E>>
    where
        T: Send + 'a,
        C: Into<Option<Changed>> + Send + 'a,
        E: From<StoreError> + Transient + Send + 'a,
    {
        Box::pin(async move {
            let mut dropped = Dropped { changes: &self.changes, armed: true };
            let done = self.db.transaction(name, work).await;
            dropped.armed = false;
            let (value, changed) = done?;
            if let Some(changed) = changed.into() {
                self.changes.publish(changed);
            }
            Ok(value)
        })
    }
}

/// Publishes every kind of change if it is dropped while armed: a request that ends while its transaction is being
/// committed may have changed anything.
struct Dropped<'a> {
    changes: &'a Changes,
    armed: bool,
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if self.armed {
            for changed in Changed::ALL {
                self.changes.publish(changed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_transaction_publishes_every_kind() {
        let changes = Changes::default();
        drop(Dropped { changes: &changes, armed: true });
        for kind in Changed::ALL {
            assert_eq!(changes.counts(&[kind]).local, 1, "{kind:?}");
        }
        drop(Dropped { changes: &changes, armed: false });
        assert_eq!(changes.counts(&Changed::ALL).local, Changed::ALL.len() as u64);
    }
}
