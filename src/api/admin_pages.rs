//! The first pages of all admins as JSON, cached: scripts and screens ask for them again and again.

use bytes::Bytes;

use crate::actions::Panel;
use crate::actions::cache::{Cache, Freshness, MAX_AGE};
use crate::domain::change::Changed;
use crate::store::StoreError;

/// An admin is shown with its role, services and users' traffic. Usage is not published: it may be a second old.
const FRESHNESS: Freshness = Freshness {
    depends_on: &[Changed::Admins, Changed::Roles, Changed::Services, Changed::Users],
    max_age: MAX_AGE,
    min_age: 0,
};

/// The first pages, by their size: a hundred at most.
#[derive(Debug)]
pub(in crate::api) struct AdminPages(Cache<i64, Option<Bytes>>);

impl AdminPages {
    /// An empty cache.
    pub(in crate::api) fn new(panel: &Panel) -> Self {
        Self(Cache::new(panel.changes.clone(), panel.clock.clone(), FRESHNESS))
    }

    /// The page of that size, if need be from `read`; `None` if it can't be written.
    pub(in crate::api) async fn get(
        &self,
        size: i64,
        read: impl Future<Output = Result<Option<Bytes>, StoreError>>,
    ) -> Result<Option<Bytes>, StoreError> {
        self.0.get(&size, async |_| read.await).await
    }
}
