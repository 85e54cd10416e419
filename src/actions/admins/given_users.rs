//! Gives all users of an admin to another one.

use serde_json::json;

use super::owned_users::USERS_AT_ONCE;
use super::{Actor, AdminError, by_name, present_with_users};
use crate::actions::quotas::guard::Guard;
use crate::actions::{PAUSE, Panel};
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::store::access::admins as stored;

/// Gives all users of `from`, without removed ones, to the admin `to`, in several transactions. Returns their number. Refused
/// before the first one if the quota of `to` has no room for all. After another error, giving again finishes the work.
pub async fn give(panel: &Panel, by: Actor<'_>, from: &str, to: &str) -> Result<i64, AdminError> {
    let from = by_name(panel, from).await?.admin;
    let mut given = 0;
    loop {
        let give = panel.transaction("give users to an admin", async |tx| -> Result<_, AdminError> {
            let to = stored::lock_by_username(tx, to).await?.ok_or(AdminError::NoSuchOwner)?;
            if to.id == from.id {
                return Ok((0, None));
            }
            present_with_users(tx, panel, by).await?;
            let (guard, now) = (Guard::of_owner(tx, to.id).await?, panel.clock.now());
            if given == 0 {
                guard.check_all_of(tx, from.id, now).await?;
            }
            let users = stored::give_users(tx, from.id, to.id, USERS_AT_ONCE).await?;
            if users == 0 {
                return Ok((0, None));
            }
            guard.check_came(tx, users, now).await?;
            let entry = Entry::of_many("user.set_owner", format!("owner {}", from.username), users)
                .with(json!({"owner_username": to.username}));
            Ok((users, Some(panel.record(tx, Changed::Users.any(), &entry).await?)))
        });
        let some = give.await?;
        given += some;
        if some < USERS_AT_ONCE {
            return Ok(given);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
