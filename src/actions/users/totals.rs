//! Numbers of users that list filters match, cached for two seconds: an admin who turns pages counts once.

use crate::actions::Panel;
use crate::actions::cache::{Cache, Freshness};
use crate::domain::change::Changed;
use crate::domain::moment::{Moment, SECOND};
use crate::store::StoreError;
use crate::store::users::list;
use crate::store::users::list::{Totals, UserFilter};

/// A change of another process is counted at once, but at most five times a second: counting takes long. A client that
/// hears of the change reads the list later than that.
const FRESHNESS: Freshness = Freshness {
    depends_on: &[Changed::Users, Changed::Admins, Changed::Services],
    max_age: 2 * SECOND,
    min_age: SECOND / 5,
};

/// The totals of the last filters.
#[derive(Debug)]
pub struct TotalCache(Cache<UserFilter, i64>);

impl TotalCache {
    /// An empty cache.
    pub fn new(panel: &Panel) -> Self {
        Self(Cache::new(panel.changes.clone(), panel.clock.clone(), FRESHNESS))
    }

    /// The totals of a filter.
    pub async fn get(&self, panel: &Panel, filter: &UserFilter, now: Moment) -> Result<Totals, StoreError> {
        let count = |filter| self.0.get(filter, async |_| list::count(&panel.db, filter, now).await);
        let everybody = UserFilter::default();
        let (matching, everybody) = tokio::try_join!(count(filter), count(&everybody))?;
        Ok(Totals { matching, everybody })
    }
}
