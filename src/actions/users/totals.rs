//! How many users a filter matches, kept for at most two seconds: an admin who turns pages counts once. What this
//! process itself has changed is counted at once.

use crate::actions::Panel;
use crate::actions::recent::{Recent, Rings};
use crate::domain::moment::{Moment, SECOND};
use crate::store::StoreError;
use crate::store::users::list;
use crate::store::users::list::{Totals, UserFilter};

/// The totals of the last filters.
#[derive(Debug)]
pub struct TotalCache(Recent<UserFilter, i64>);

impl Default for TotalCache {
    fn default() -> Self {
        Self(Recent::new(2 * SECOND, Rings::Own))
    }
}

impl TotalCache {
    /// The totals of a filter.
    pub async fn get(&self, panel: &Panel, filter: &UserFilter, now: Moment) -> Result<Totals, StoreError> {
        let count = |filter| self.0.get(panel, filter, async || list::count(&panel.db, filter, now).await);
        let everybody = UserFilter::default();
        let (matching, everybody) = tokio::try_join!(count(filter), count(&everybody))?;
        Ok(Totals { matching, everybody })
    }
}
