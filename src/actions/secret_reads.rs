//! Reads of secrets, for the audit log.

use super::Panel;
use crate::domain::audit::Entry;
use crate::domain::change::Change;
use crate::store::StoreError;

/// Enters a read of secrets, which changes nothing. `object` says what was read.
pub async fn record(panel: &Panel, action: &'static str, object: &str) -> Result<(), StoreError> {
    let entry = Entry { object_name: Some(object.to_owned()), ..Entry::of_one(action) };
    panel
        .transaction("record read", async |tx| -> Result<_, StoreError> {
            Ok(((), panel.record(tx, None::<Change>, &entry).await?))
        })
        .await
}
