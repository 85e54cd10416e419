//! What edges send: reports about themselves, and the fetches that they served, each batch once.

use std::cmp::Reverse;

use uuid::Uuid;

use super::Panel;
use crate::domain::change::Unchanged;
use crate::domain::edge::{AWAY, Batch, Edge, EdgeFetch, MAX_EDGES};
use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::store::users::subscription_fetches::{self, Fetch};
use crate::store::{StoreError, Transient, edges};

/// A report was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There are as many edges as can be listed, and all have reported lately.
    #[error("{MAX_EDGES} edges have reported within half a minute, and no more are accepted")]
    Most,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for ReportError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// Stores a report, and the fetches of a batch unless the batch was stored before. `settled_batch`: one before, which the edge does not
/// send again. Returns true if a later edge reports with the same id.
pub async fn report(
    panel: &Panel,
    edge: &Edge,
    batch: Option<&Batch>,
    settled_batch: Option<Uuid>,
) -> Result<bool, ReportError> {
    let now = panel.clock.now();
    let fetches = batch.map(|batch| settled(batch, now)).unwrap_or_default();
    panel
        .transaction("report of an edge", async |tx| -> Result<_, ReportError> {
            if let Some(id) = settled_batch.filter(|id| batch.is_none_or(|batch| batch.id != *id)) {
                edges::forget_batch(tx, id).await?;
            }
            if let Some(batch) = batch
                && edges::begin_batch(tx, batch.id, now).await?
            {
                subscription_fetches::upsert(tx, &fetches).await?;
            }
            if !edges::make_room(tx, edge.id, now.plus(-AWAY), MAX_EDGES).await? {
                return Err(ReportError::Most);
            }
            let is_id_shared = edges::has_later(tx, edge, now.plus(-AWAY)).await?;
            edges::report(tx, edge, now).await?;
            Ok((is_id_shared, Unchanged))
        })
        .await
}

/// Removes an edge that stops from the list.
pub async fn leave(panel: &Panel, id: Uuid) -> Result<(), StoreError> {
    panel
        .transaction("an edge stops", async |tx| -> Result<_, StoreError> {
            edges::leave(tx, id).await?;
            Ok(((), Unchanged))
        })
        .await
}

/// The fetches of a batch by user, as they are stored.
fn settled(batch: &Batch, now: Moment) -> Vec<(UserId, Fetch)> {
    let mut fetches: Vec<EdgeFetch> = batch.fetches.iter().map(|fetch| fetch.clone().settled(now)).collect();
    // The last one of each user.
    fetches.sort_by_key(|fetch| (fetch.user, Reverse(fetch.at)));
    fetches.dedup_by_key(|fetch| fetch.user);
    fetches.into_iter().map(|it| (it.user, Fetch { at: it.at, user_agent: it.user_agent })).collect()
}
