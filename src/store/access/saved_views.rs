//! The table `admin_view`: the saved views of admins.

use sqlx::query_scalar;

use crate::domain::ids::AdminId;
use crate::domain::saved_view::SavedView;
use crate::store::engine::statement::{db_execute, db_read, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    OF_ADMIN = "SELECT views FROM admin_view WHERE admin_id = $1";
    PUT = "INSERT INTO admin_view (admin_id, views) VALUES ($1, $2)
           ON CONFLICT (admin_id) DO UPDATE SET views = excluded.views";
}

/// Returns the views of an admin.
pub async fn of_admin(db: &Db, admin: AdminId) -> Result<Vec<SavedView>, StoreError> {
    let text = db_read!(db, OF_ADMIN, |sql, c| query_scalar::<_, String>(sql).bind(admin.0).fetch_optional(c).await)?;
    // A later version may write what this one can't read.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Replaces the views of an admin, whose row is locked.
pub async fn put(tx: &mut Tx, admin: AdminId, views: &[SavedView]) -> Result<(), StoreError> {
    db_execute!(tx, PUT, admin.0, serde_json::json!(views).to_string())
}
