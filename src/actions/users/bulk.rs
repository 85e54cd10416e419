//! Changes of many users, in several transactions, so that other writers need not wait long.

use super::UserError;
use crate::actions::admins::{Actor, AdminError, may_change, present_author, present_with_users, read_again};
use crate::actions::quotas::guard::{Guard, OfAll};
use crate::actions::{PAUSE, Panel};
use crate::domain::admin::Admin;
use crate::domain::audit::Entry;
use crate::domain::change::Changed;
use crate::domain::ids::UserId;
use crate::domain::moment::SECOND;
use crate::domain::rights::Extent;
use crate::domain::scope::{Action, Resource, Scope};
use crate::store::access::quotas::disabled;
use crate::store::users::{bulk, changes};
use crate::store::{Engine, IdList, Tx};

/// Users per transaction: well below 250 ms on SQLite.
const CHUNK: i64 = 1_000;

/// Deletes the admin's own users (with the right to all, all users) whose fixed expiry date passed at least that many seconds
/// ago. Returns their number.
pub async fn remove_expired(panel: &Panel, admin: &Admin, passed_seconds: i64) -> Result<usize, UserError> {
    if !admin.may_modify_users() {
        return Err(UserError::Forbidden);
    }
    let cutoff = panel.clock.now().plus(passed_seconds.saturating_mul(SECOND).saturating_neg());
    let owner = admin.only_own(Resource::Users, Action::Write);
    let right = (Scope(Resource::Users, Action::Write), if owner.is_some() { Extent::Own } else { Extent::All });
    let mut removed = 0;
    loop {
        let chunk = panel
            .transaction("remove expired users", async |tx| -> Result<_, UserError> {
                let users = bulk::lock_expired(tx, cutoff, owner, CHUNK).await?;
                if users.is_empty() {
                    return Ok((0, None));
                }
                check_right(tx, panel, admin, right).await?;
                bulk::remove(tx, IdList::new(users.iter().map(|user| user.id))).await?;
                let known = IdList::new(users.iter().filter(|user| user.activated).map(|user| user.id));
                changes::mark(tx, known, panel.clock.now()).await?;
                let filter = format!("expired before {}", cutoff.utc_iso());
                let entry = Entry::of_many("user.delete", filter, users.len() as i64);
                Ok((users.len(), Some(panel.record(tx, Changed::Users.any().of(owner), &entry).await?)))
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
    on_owned(panel, None, admin, Change::ResetTraffic).await
}

/// Enables or disables all users of an admin, as long as the author may do so.
pub async fn set_enabled(panel: &Panel, by: Actor<'_>, owner: &Admin, enabled: bool) -> Result<(), UserError> {
    on_owned(panel, Some(by), owner, if enabled { Change::Enable } else { Change::Disable }).await
}

/// The right to [`reset_own`], as `api::operations` has it.
const RESET_ALL: (Scope, Extent) = (Scope(Resource::Users, Action::Reset), Extent::All);

/// A change of each user of an admin.
#[derive(Clone, Copy, Debug)]
enum Change {
    ResetTraffic,
    Enable,
    Disable,
}

/// Goes through an admin's users by id, a transaction per chunk. After an error, a repetition finishes the work. `by`: the author, if it
/// is not the owner.
async fn on_owned(panel: &Panel, by: Option<Actor<'_>>, owner: &Admin, change: Change) -> Result<(), UserError> {
    let action = match change {
        Change::ResetTraffic => "user.reset",
        Change::Enable => "user.enable",
        Change::Disable => "user.disable",
    };
    let mut after = UserId(0);
    loop {
        let last = panel
            .transaction("change users of admin", async |tx| -> Result<_, UserError> {
                let now = panel.clock.now();
                match change {
                    Change::ResetTraffic => {
                        Guard::of_admin(tx, owner.id).await?.check_own(tx, OfAll::Reset, now).await?;
                    }
                    Change::Enable => Guard::of_admin(tx, owner.id).await?.check_own(tx, OfAll::Enabled, now).await?,
                    // The task that enables users again locks the quota first, too.
                    Change::Disable => drop(Guard::of_admin(tx, owner.id).await?),
                }
                match by {
                    Some(by) => check_author(tx, panel, by, owner).await?,
                    None => check_right(tx, panel, owner, RESET_ALL).await?,
                }
                let users = match change {
                    Change::ResetTraffic => bulk::lock_owned(tx, owner.id, None, after, CHUNK).await?,
                    Change::Enable => bulk::lock_owned(tx, owner.id, Some(false), after, CHUNK).await?,
                    Change::Disable => disabled::lock_to_disable(tx, owner.id, after, CHUNK).await?,
                };
                let Some(last) = users.as_slice().last().copied() else { return Ok((None, None)) };
                let count = users.as_slice().len() as i64;
                let differ = match change {
                    Change::ResetTraffic => bulk::reset_traffic(tx, users, now).await?,
                    Change::Enable => {
                        disabled::forget(tx, &users).await?;
                        bulk::enable(tx, users, now).await?
                    }
                    Change::Disable => {
                        // By hand from now on, whatever a quota did.
                        disabled::forget(tx, &users).await?;
                        bulk::disable(tx, users).await?
                    }
                };
                changes::mark(tx, differ, now).await?;
                let entry = Entry::of_many(action, format!("owner {}", owner.username), count);
                Ok((Some(last), Some(panel.record(tx, Changed::Users.any().of(Some(owner.id)), &entry).await?)))
            })
            .await?;
        let Some(last) = last else { return Ok(()) };
        after = UserId(last);
        pause(panel).await;
    }
}

/// Refuses the next part to an author who has lost the right to it.
async fn check_right(tx: &mut Tx, panel: &Panel, by: &Admin, right: (Scope, Extent)) -> Result<(), UserError> {
    present_author(tx, panel, Actor::Admin(by), &[right]).await?.map(drop).ok_or(UserError::Forbidden)
}

/// Refuses the next part to an author who may not change the owner and its users any more.
async fn check_author(tx: &mut Tx, panel: &Panel, by: Actor<'_>, owner: &Admin) -> Result<(), UserError> {
    let of = |error| match error {
        AdminError::Store(error) => UserError::Store(error),
        AdminError::NotFound => UserError::NotFound,
        _ => UserError::Forbidden,
    };
    let by = present_with_users(tx, panel, by).await.map_err(of)?;
    may_change(by.actor(), &read_again(tx, owner).await.map_err(of)?).map_err(of)
}

/// On SQLite, lets other writers go first between two parts of a long change.
pub(super) async fn pause(panel: &Panel) {
    if panel.db.engine() == Engine::Sqlite {
        tokio::time::sleep(PAUSE).await;
    }
}
