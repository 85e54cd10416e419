//! Changes of many users, in several transactions, so that other writers need not wait long.

use super::UserError;
use crate::actions::{PAUSE, Panel};
use crate::domain::admin::Admin;
use crate::domain::change::Changed;
use crate::domain::ids::{AdminId, UserId};
use crate::domain::moment::SECOND;
use crate::store::users::{bulk, changes};
use crate::store::{Engine, IdList, StoreError};

/// Users per transaction: well below 250 ms on SQLite.
const CHUNK: i64 = 1_000;

/// Deletes the admin's own users (for a sudo admin, all users) whose fixed expiry date passed at least that many seconds
/// ago. Returns their number.
pub async fn remove_expired(panel: &Panel, admin: &Admin, passed_seconds: i64) -> Result<usize, UserError> {
    if !admin.may_modify_users() {
        return Err(UserError::Forbidden);
    }
    let cutoff = panel.clock.now().plus(passed_seconds.saturating_mul(SECOND).saturating_neg());
    let owner = (!admin.is_sudo).then_some(admin.id);
    let mut removed = 0;
    loop {
        let chunk = panel
            .transaction("remove expired users", async |tx| -> Result<_, StoreError> {
                let users = bulk::lock_expired(tx, cutoff, owner, CHUNK).await?;
                if users.is_empty() {
                    return Ok((0, None));
                }
                bulk::remove(tx, IdList::new(users.iter().map(|user| user.id))).await?;
                let known = IdList::new(users.iter().filter(|user| user.activated).map(|user| user.id));
                changes::mark(tx, known, panel.clock.now()).await?;
                Ok((users.len(), Some(Changed::Users.any().of(owner))))
            })
            .await?;
        if chunk == 0 {
            break;
        }
        removed += chunk;
        pause(panel).await;
    }
    if removed == 0 { Err(UserError::NoneExpired) } else { Ok(removed) }
}

/// Resets the used traffic of all the admin's own users to zero. Users that had only reached their data limit are
/// activated again.
pub async fn reset_own(panel: &Panel, admin: &Admin) -> Result<(), UserError> {
    Ok(on_owned(panel, admin.id, Change::ResetTraffic).await?)
}

/// Enables or disables all users of an admin.
pub async fn set_enabled(panel: &Panel, owner: AdminId, enabled: bool) -> Result<(), StoreError> {
    on_owned(panel, owner, if enabled { Change::Enable } else { Change::Disable }).await
}

/// A change of each user of an admin.
#[derive(Clone, Copy, Debug)]
enum Change {
    ResetTraffic,
    Enable,
    Disable,
}

/// Goes through an admin's users by id, a transaction per chunk. After an error, a repetition finishes the work.
async fn on_owned(panel: &Panel, owner: AdminId, change: Change) -> Result<(), StoreError> {
    let only = match change {
        Change::ResetTraffic => None,
        Change::Enable => Some(false),
        Change::Disable => Some(true),
    };
    let mut after = UserId(0);
    loop {
        let last = panel
            .transaction("change users of admin", async |tx| -> Result<_, StoreError> {
                let users = bulk::lock_owned(tx, owner, only, after, CHUNK).await?;
                let Some(last) = users.as_slice().last().copied() else { return Ok((None, None)) };
                let now = panel.clock.now();
                let differ = match change {
                    Change::ResetTraffic => bulk::reset_traffic(tx, users, now).await?,
                    Change::Enable => bulk::enable(tx, users, now).await?,
                    Change::Disable => bulk::disable(tx, users).await?,
                };
                changes::mark(tx, differ, now).await?;
                Ok((Some(last), Some(Changed::Users.any().of(Some(owner)))))
            })
            .await?;
        let Some(last) = last else { return Ok(()) };
        after = UserId(last);
        pause(panel).await;
    }
}

async fn pause(panel: &Panel) {
    if panel.db.engine() == Engine::Sqlite {
        tokio::time::sleep(PAUSE).await;
    }
}
