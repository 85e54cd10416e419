//! What admins do to many users at once: in chunks, so that nobody else waits long for the database.

use std::time::Duration;

use super::UserError;
use crate::actions::Panel;
use crate::domain::admin::Admin;
use crate::domain::ids::{AdminId, UserId};
use crate::domain::moment::SECOND;
use crate::store::users::{bulk, changes};
use crate::store::{Engine, IdList, StoreError};

/// Users per transaction: on SQLite well below 250 ms.
const CHUNK: i64 = 1_000;
/// How long a bulk writer leaves SQLite to the writers of other processes.
const BREATH: Duration = Duration::from_millis(50);

/// Deletes the admin's own users (a sudo: all users) whose fixed date passed at least so many seconds ago. Answers how
/// many there were.
pub async fn remove_expired(panel: &Panel, admin: &Admin, passed_seconds: i64) -> Result<usize, UserError> {
    if !admin.may_modify_users() {
        return Err(UserError::Forbidden);
    }
    let cutoff = panel.clock.now().plus(passed_seconds.saturating_mul(SECOND).saturating_neg());
    let owner = (!admin.is_sudo).then_some(admin.id);
    let mut removed = 0;
    loop {
        let chunk = panel
            .db
            .transaction("remove expired users", async |tx| -> Result<_, StoreError> {
                let users = bulk::lock_expired(tx, cutoff, owner, CHUNK).await?;
                if users.is_empty() {
                    return Ok(0);
                }
                bulk::remove(tx, IdList::new(users.iter().map(|user| user.id))).await?;
                let known = IdList::new(users.iter().filter(|user| user.activated).map(|user| user.id));
                changes::mark(tx, known, panel.clock.now()).await?;
                Ok(users.len())
            })
            .await?;
        if chunk == 0 {
            break;
        }
        removed += chunk;
        panel.wakeup.notify();
        breathe(panel).await;
    }
    if removed == 0 { Err(UserError::NoneExpired) } else { Ok(removed) }
}

/// Sets the used traffic of all the admin's own users back to zero. Those whom only that kept from working come back
/// to the nodes.
pub async fn reset_own(panel: &Panel, admin: &Admin) -> Result<(), UserError> {
    Ok(on_owned(panel, admin.id, Change::ResetTraffic).await?)
}

/// Switches all users of an admin on or off that are not so yet.
pub async fn set_enabled(panel: &Panel, owner: AdminId, enabled: bool) -> Result<(), StoreError> {
    on_owned(panel, owner, if enabled { Change::Enable } else { Change::Disable }).await
}

/// What is done to each user of an admin.
#[derive(Clone, Copy, Debug)]
enum Change {
    ResetTraffic,
    Enable,
    Disable,
}

/// Goes through an admin's users by id, a transaction per chunk. Whatever breaks off here is finished by doing it once
/// more.
async fn on_owned(panel: &Panel, owner: AdminId, change: Change) -> Result<(), StoreError> {
    let only = match change {
        Change::ResetTraffic => None,
        Change::Enable => Some(false),
        Change::Disable => Some(true),
    };
    let mut after = UserId(0);
    loop {
        let last = panel
            .db
            .transaction("change users of admin", async |tx| -> Result<_, StoreError> {
                let users = bulk::lock_owned(tx, owner, only, after, CHUNK).await?;
                let Some(last) = users.as_slice().last().copied() else { return Ok(None) };
                let now = panel.clock.now();
                let differ = match change {
                    Change::ResetTraffic => bulk::reset_traffic(tx, users, now).await?,
                    Change::Enable => bulk::enable(tx, users, now).await?,
                    Change::Disable => bulk::disable(tx, users).await?,
                };
                changes::mark(tx, differ, now).await?;
                Ok(Some(last))
            })
            .await?;
        let Some(last) = last else { return Ok(()) };
        after = UserId(last);
        panel.wakeup.notify();
        breathe(panel).await;
    }
}

async fn breathe(panel: &Panel) {
    if panel.db.engine() == Engine::Sqlite {
        tokio::time::sleep(BREATH).await;
    }
}
