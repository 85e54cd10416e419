//! Changes of all users of an admin, in several transactions, and the deletion of an admin, which begins with one.

use serde_json::json;

use super::rights::{Actor, RightsError, may_change, may_delete};
use super::{AdminError, by_name, entry, lock, present, read_again};
use crate::actions::quotas::guard::Guard;
use crate::actions::users::{UserError, bulk};
use crate::actions::{PAUSE, Panel};
use crate::domain::admin::Admin;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::store::access::admins;
use crate::store::access::admins::AdminUsage;

/// Users that change their owner in one transaction: well below 250 ms on SQLite.
pub(super) const USERS_AT_ONCE: i64 = 10_000;

/// Enables or disables all users of an admin, in several transactions.
pub async fn set_users_enabled(
    panel: &Panel,
    by: Actor<'_>,
    username: &str,
    enabled: bool,
) -> Result<AdminUsage, AdminError> {
    let usage = by_name(panel, username).await?;
    may_change(by, &usage.admin)?;
    bulk::set_enabled(panel, by, &usage.admin, enabled).await.map_err(|error| match error {
        UserError::Forbidden => AdminError::Rights(RightsError::Lost),
        UserError::Quota(error) => AdminError::Quota(error),
        UserError::Store(error) => AdminError::Store(error),
        // No other error comes of a change of all.
        _ => AdminError::NotFound,
    })?;
    Ok(usage)
}

/// Gives all users without an owner to that admin. Returns their number.
pub async fn adopt_users(panel: &Panel, admin: &Admin) -> Result<i64, AdminError> {
    let mut adopted = 0;
    loop {
        let adopt = panel.transaction("adopt users", async |tx| -> Result<_, AdminError> {
            let guard = Guard::of_admin(tx, admin.id).await?;
            let users = admins::adopt_users(tx, admin.id, USERS_AT_ONCE).await?;
            if users == 0 {
                return Ok((0, None));
            }
            guard.check_came(tx, users, panel.clock.now()).await?;
            let entry = Entry::of_many("user.set_owner", "without an owner", users)
                .with(json!({"owner_username": admin.username}));
            Ok((users, Some(panel.record(tx, Changed::Users.any(), &entry).await?)))
        });
        let some = adopt.await?;
        adopted += some;
        if some < USERS_AT_ONCE {
            return Ok(adopted);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes an admin. The users stay, without an owner.
pub async fn delete(panel: &Panel, by: Actor<'_>, username: &str) -> Result<(), AdminError> {
    let found = by_name(panel, username).await?.admin;
    may_delete(by, &found)?;
    orphan_all(panel, by, &found).await?;
    panel
        .transaction("delete admin", async |tx| {
            let admin = lock(tx, &found).await?;
            may_delete(present(tx, panel, by).await?.actor(), &admin)?;
            admins::delete(tx, admin.id).await?;
            let entry = entry("admin.delete", &admin).deleted(&admin);
            Ok(((), panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?))
        })
        .await
}

/// Takes an admin's users from it, in several transactions: it may have a hundred thousand. After an error, a repetition finishes
/// the work.
async fn orphan_all(panel: &Panel, by: Actor<'_>, admin: &Admin) -> Result<(), AdminError> {
    while orphan_users(panel, by, admin).await? == USERS_AT_ONCE {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn orphan_users(panel: &Panel, by: Actor<'_>, admin: &Admin) -> Result<i64, AdminError> {
    let orphan = panel.transaction("orphan users of admin", async |tx| -> Result<_, AdminError> {
        may_delete(present(tx, panel, by).await?.actor(), &read_again(tx, admin).await?)?;
        let users = admins::orphan_users(tx, admin.id, USERS_AT_ONCE).await?;
        if users == 0 {
            return Ok((0, None));
        }
        let filter = format!("owner {}", admin.username);
        let entry = Entry::of_many("user.remove_owner", filter, users);
        Ok((users, Some(panel.record(tx, Changed::Users.any(), &entry).await?)))
    });
    orphan.await
}
