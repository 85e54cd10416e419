//! The caches of a process that serves the API.

use std::sync::Arc;

use super::Panel;
use super::cache::{Cache, Freshness, MAX_AGE};
use super::fetch_log::FetchLog;
use super::lookups::Lookups;
use super::subscriptions::{SourceCache, Sources};
use super::users::totals::TotalCache;
use crate::domain::admin::Admin;
use crate::domain::change::Changed;
use crate::domain::ids::AdminId;
use crate::domain::moment::SECOND;
use crate::store::access::admins;
use crate::store::stats::{self, UserCounts};
use crate::store::{Db, StoreError};

const ADMINS: Freshness = Freshness { depends_on: &[Changed::Admins, Changed::Services], max_age: MAX_AGE, min_age: 0 };

/// Counting all users takes long, and the result may be a little old. After a change of another process, it is counted at
/// most five times a second.
const USER_COUNTS: Freshness =
    Freshness { depends_on: &[Changed::Users, Changed::Admins], max_age: 2 * SECOND, min_age: SECOND / 5 };

/// Caches of frequent reads. A change by this process is seen at once, a change by another process after at most one
/// second (counts and totals: two seconds).
#[derive(Debug)]
pub struct Caches {
    panel: Panel,
    /// Users by name.
    pub users: Lookups,
    /// Numbers of users that list filters match.
    pub totals: TotalCache,
    /// Subscription fetches that the database may not have yet.
    pub fetches: FetchLog,
    sources: SourceCache,
    admins: Cache<String, Option<Admin>>,
    user_counts: Cache<Option<AdminId>, UserCounts>,
}

impl Caches {
    /// Empty caches for a panel that handles at most that many requests at once. Must be called in a runtime.
    pub fn start(panel: &Panel, requests_at_once: usize) -> Self {
        let (changes, clock) = (&panel.changes, &panel.clock);
        Self {
            panel: panel.clone(),
            users: Lookups::start(panel, requests_at_once),
            totals: TotalCache::new(panel),
            fetches: FetchLog::default(),
            sources: SourceCache::new(panel),
            admins: Cache::new(changes.clone(), clock.clone(), ADMINS),
            user_counts: Cache::new(changes.clone(), clock.clone(), USER_COUNTS),
        }
    }

    /// The admin of that name.
    pub async fn admin(&self, username: &str) -> Result<Option<Admin>, StoreError> {
        self.admins.get(username, async |_| admins::by_username(self.db(), username).await).await
    }

    /// Returns the sources that subscriptions are rendered from, besides their user.
    pub async fn sources(&self) -> Result<Arc<Sources>, StoreError> {
        self.sources.get(self.db()).await
    }

    /// Numbers of users by state: of an admin, or of all.
    pub async fn user_counts(&self, owner: Option<AdminId>) -> Result<UserCounts, StoreError> {
        let count = async |_| stats::users(self.db(), owner, self.panel.clock.now()).await;
        self.user_counts.get(&owner, count).await
    }

    fn db(&self) -> &Db {
        &self.panel.db
    }
}
