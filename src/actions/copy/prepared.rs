//! Sources of renderings that were prepared from a copy's shared part.

use std::sync::Arc;

use crate::actions::subscriptions::Sources;
use crate::domain::user::Owner;
use crate::store::StoreError;
use crate::store::copy::file::CopyFile;
use crate::subscription::shared_part::SharedPart;

/// Prepared sources, and the change of the shared part that they belong to.
#[derive(Clone, Debug)]
pub(super) struct PreparedSources {
    pub(super) change: u64,
    pub(super) sources: Arc<Sources>,
    pub(super) owners: Arc<[Owner]>,
}

/// True if the file has a part that all subscriptions share, and this version can read it.
pub(super) async fn is_shared_part_readable(file: &CopyFile) -> Result<bool, StoreError> {
    Ok(file.shared_part().await?.as_deref().and_then(SharedPart::from_json).is_some())
}
