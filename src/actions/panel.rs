//! The panel as use cases see it: the database, the clock, change events and notification targets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;

use super::audit::Recorded;
use super::changes::Changes;
use super::notification_targets::LiveTargets;
use crate::clock::Clock;
use crate::domain::audit::{Actor, Entry, Origin};
use crate::domain::change::Change;
use crate::store::audit::entries;
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
    /// The author of changes, for the audit log.
    pub origin: Arc<Origin>,
}

impl Panel {
    /// A panel whose changes reach no cache and no other process, and that notifies nobody. It makes its changes by itself.
    pub fn new(db: Db, clock: Clock) -> Self {
        let origin = Arc::new(Origin::of(Actor::Panel));
        Self { db, clock, changes: Changes::default(), targets: LiveTargets::default(), origin }
    }

    /// The same panel, for changes by somebody else.
    #[must_use]
    pub fn on_behalf_of(&self, origin: Origin) -> Self {
        Self { origin: Arc::new(origin), ..self.clone() }
    }

    /// Enters a change of this transaction into the audit log. What it returns ends the transaction.
    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        change: impl Into<Option<Change>> + Send,
        entry: &Entry,
    ) -> Result<Recorded, StoreError> {
        let change = change.into();
        entries::insert(tx, &self.origin, entry, self.clock.now()).await?;
        Ok(Recorded::of(change))
    }

    /// Runs `work` in a transaction (see [`Db::transaction`]), commits it and publishes what it changed:
    /// the second part of its result, from [`Panel::record`], an `Option` of it, or `Unchanged`. This is the only way for actions to write.
    pub(super) fn transaction<'a, T, C, E>(
        &'a self,
        name: &'static str,
        work: impl AsyncFnMut(&mut Tx) -> Result<(T, C), E> + for<'t> Work<'t, Tx, (T, C), E> + 'a,
    ) -> BoxFuture<'a, Result<T, E>>
    where
        T: Send + 'a,
        C: Into<Recorded> + Send + 'a,
        E: From<StoreError> + Transient + Send + 'a,
    {
        Box::pin(async move {
            let commit = UnknownCommit { changes: &self.changes, begun: AtomicBool::new(false) };
            let (value, changed) = self.db.transaction_watched(name, Some(&commit.begun), work).await?;
            // It has succeeded, so what it changed is known.
            commit.begun.store(false, Ordering::Relaxed);
            if let Some(change) = changed.into().change() {
                self.changes.publish(change);
            }
            Ok(value)
        })
    }
}

/// Publishes every kind of change if it is dropped when a commit has begun and not succeeded: it failed, or the request
/// ended meanwhile. Such a commit may have happened.
struct UnknownCommit<'a> {
    changes: &'a Changes,
    begun: AtomicBool,
}

impl Drop for UnknownCommit<'_> {
    fn drop(&mut self) {
        if *self.begun.get_mut() {
            self.changes.publish_unknown();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::change::Changed;

    #[test]
    fn commit_of_unknown_outcome_publishes_every_kind() {
        let changes = Changes::default();
        drop(UnknownCommit { changes: &changes, begun: AtomicBool::new(true) });
        for kind in Changed::ALL {
            assert_eq!(changes.counts(&[kind]).local, 1, "{kind:?}");
        }
    }

    #[test]
    fn transaction_that_began_no_commit_publishes_nothing() {
        let changes = Changes::default();
        drop(UnknownCommit { changes: &changes, begun: AtomicBool::new(false) });
        assert!(!changes.any());
    }
}
