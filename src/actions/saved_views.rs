//! The saved views of an admin.

use super::Panel;
use crate::domain::admin::Admin;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::saved_view::SavedView;
use crate::store::StoreError;
use crate::store::access::admins::lock_by_username;
use crate::store::access::saved_views;

/// Replaces the views of an admin. The admin may be gone meanwhile: nothing is stored then.
pub async fn replace(panel: &Panel, admin: &Admin, views: &[SavedView]) -> Result<(), StoreError> {
    panel
        .transaction("store saved views", async |tx| {
            let locked = lock_by_username(tx, &admin.username).await?;
            if locked.is_none_or(|locked| locked.id != admin.id) {
                return Ok::<_, StoreError>(((), None));
            }
            saved_views::put(tx, admin.id, views).await?;
            let names: Vec<&str> = views.iter().map(|view| view.name.as_str()).collect();
            let entry =
                Entry::of("admin.views", admin.id.0, admin.username.clone()).with(serde_json::json!({"names": names}));
            Ok(((), Some(panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?)))
        })
        .await
}
