//! Sources of renderings that were prepared from a copy's shared part.

use std::sync::Arc;

use crate::actions::subscriptions::Sources;
use crate::domain::user::Owner;

/// Prepared sources, and the change of the shared part that they belong to.
#[derive(Clone, Debug)]
pub(super) struct PreparedSources {
    pub(super) change: u64,
    pub(super) sources: Arc<Sources>,
    pub(super) owners: Arc<[Owner]>,
}
