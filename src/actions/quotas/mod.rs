//! Reads, sets and resets quotas of admins.

pub mod guard;

use super::Panel;
use super::admins::{self, Actor, AdminError};
use crate::domain::admin::Admin;
use crate::domain::change::Changed;
use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::domain::quota::{BelowUse, Quota, Use};
use crate::domain::schedule::Task;
use crate::store::access::quotas::{self as stored, disabled};
use crate::store::cluster::requests;
use crate::store::{StoreError, Transient, Tx, clock};

/// The quota of an admin, with its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaState {
    /// The admin's name.
    pub username: String,
    /// The limits; [`Quota::NONE`] without any.
    pub quota: Quota,
    /// The use. Traffic counts only while it is limited.
    pub used: Use,
    /// When the period of the traffic began; `None` while it is not limited.
    pub counted_since: Option<Moment>,
    /// When the period ends; `None`: never.
    pub next_reset_at: Option<Moment>,
    /// Users whom the used-up quota has disabled.
    pub disabled_users: i64,
}

/// Why a quota was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum QuotaChangeError {
    /// The admin can't be read or changed.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A limit is below its use.
    #[error("{field} {0}", field = .0.counted.field())]
    BelowUse(BelowUse),
    /// An admin whose role is not that of a sudo admin asks for more than it was given.
    #[error("your own quota is set by others")]
    Own,
    /// The admin's traffic has no limit.
    #[error("the admin's quota has no limit of traffic, so there is nothing to reset")]
    NoTraffic,
}

impl From<StoreError> for QuotaChangeError {
    fn from(error: StoreError) -> Self {
        Self::Admin(error.into())
    }
}

impl Transient for QuotaChangeError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Admin(error) if error.is_transient())
    }
}

/// Returns the quota of an admin.
pub async fn of(panel: &Panel, username: &str) -> Result<QuotaState, QuotaChangeError> {
    let admin = admins::by_name(panel, username).await?.admin;
    let stored = stored::of_admin(&panel.db, admin.id).await?;
    let used = stored::use_of(&panel.db, admin.id, panel.clock.now()).await?;
    let limited = stored.as_ref().map(|stored| &stored.of).filter(|quota| quota.quota.traffic.is_some());
    Ok(QuotaState {
        username: admin.username,
        quota: stored.as_ref().map_or(Quota::NONE, |stored| stored.of.quota),
        used: Use { traffic: limited.map_or(0, |_| used.traffic), ..used },
        counted_since: limited.map(|quota| quota.counted_since),
        next_reset_at: limited.and_then(|quota| quota.next_reset_at()),
        disabled_users: disabled::count(&panel.db, admin.id).await?,
    })
}

/// Sets the quota of an admin; one without limits deletes it. A limit below its use is refused. Traffic counts from the moment when
/// it is first limited; with another reset strategy it stays counted, for a whole period from now on.
pub async fn set(panel: &Panel, by: Actor<'_>, username: &str, quota: &Quota) -> Result<QuotaState, QuotaChangeError> {
    let found = admins::by_name(panel, username).await?.admin;
    let slot = clock::now(&panel.db).await?;
    panel
        .transaction("set quota of admin", async |tx| -> Result<_, QuotaChangeError> {
            // For this transaction alone: a change that adds users to the admin holds a share of the lock.
            let admin = admins::lock(tx, &found).await?;
            may_set(admins::present(tx, panel, by).await?.actor(), &admin)?;
            let before = stored::lock(tx, admin.id).await?.map(|stored| stored.of.quota);
            if before == Some(*quota) || (before.is_none() && quota.is_none()) {
                return Ok(((), None));
            }
            let mut is_used_up = false;
            if quota.is_none() {
                stored::delete(tx, admin.id).await?;
            } else {
                let now = panel.clock.now();
                stored::set(tx, admin.id, quota).await?;
                let limited = before.filter(|before| before.traffic.is_some());
                if let Some(before) = limited {
                    if before.traffic_reset_strategy != quota.traffic_reset_strategy {
                        // Otherwise a shorter period would have ended already, and give the used traffic back.
                        stored::restart_period(tx, admin.id, now).await?;
                    }
                    // What is left may be more than before: thresholds are looked at again.
                    stored::set_notified(tx, admin.id, &Use::default()).await?;
                } else {
                    stored::start_period(tx, admin.id, now).await?;
                }
                let used = stored::use_in(tx, admin.id, now).await?;
                quota.check_use(&used).map_err(QuotaChangeError::BelowUse)?;
                is_used_up = quota.disables(used.traffic);
            }
            review_soon(tx, admin.id, is_used_up, slot).await?;
            let entry = admins::entry("admin.set_quota", &admin).changed(&before.unwrap_or(Quota::NONE), quota);
            Ok(((), Some(panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?)))
        })
        .await?;
    of(panel, username).await
}

/// Refuses quotas of admins that may do more, and one's own, which a sudo admin alone may set.
fn may_set(by: Actor<'_>, admin: &Admin) -> Result<(), QuotaChangeError> {
    match by {
        Actor::Admin(by) if by.id == admin.id && !by.is_sudo => Err(QuotaChangeError::Own),
        by => Ok(admins::may_change(by, admin)?),
    }
}

/// Resets the traffic of an admin's quota: it counts from now on.
pub async fn reset(panel: &Panel, by: Actor<'_>, username: &str) -> Result<QuotaState, QuotaChangeError> {
    let found = admins::by_name(panel, username).await?.admin;
    let slot = clock::now(&panel.db).await?;
    panel
        .transaction("reset quota of admin", async |tx| -> Result<_, QuotaChangeError> {
            let admin = admins::lock(tx, &found).await?;
            may_set(admins::present(tx, panel, by).await?.actor(), &admin)?;
            let stored = stored::lock(tx, admin.id).await?.filter(|stored| stored.of.quota.traffic.is_some());
            stored.ok_or(QuotaChangeError::NoTraffic)?;
            let now = panel.clock.now();
            let used = stored::use_in(tx, admin.id, now).await?.traffic;
            stored::start_period(tx, admin.id, now).await?;
            review_soon(tx, admin.id, false, slot).await?;
            let entry = admins::entry("admin.reset_quota", &admin).with(serde_json::json!({"traffic": used}));
            Ok(((), panel.record(tx, Changed::Admins.row(admin.id.0), &entry).await?))
        })
        .await?;
    of(panel, username).await
}

/// Requests a run of `review_admins` if it has users to enable or to disable: its next slot may be half a minute away. `slot` is a time
/// of the database's clock.
async fn review_soon(tx: &mut Tx, admin: AdminId, is_used_up: bool, slot: Moment) -> Result<(), StoreError> {
    if is_used_up || disabled::has_of(tx, admin).await? {
        requests::add(tx, Task::ReviewAdmins.name(), slot).await?;
    }
    Ok(())
}
