//! Refuses changes for which the quotas of users' owners have no room. The quotas are locked before the users, and counted after the
//! change, so that no two changes pass on the same place.

use std::collections::BTreeSet;

use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::domain::quota::{Counted, QuotaRefusal, WhenUsedUp, is_counted_active, would_be_active};
use crate::domain::user::User;
use crate::store::access::quotas::{self, AsIf, StoredQuota, disabled};
use crate::store::{IdList, StoreError, Transient, Tx};

/// The owners of the users that a transaction changes, locked with their quotas.
#[derive(Debug)]
pub(in crate::actions) struct Guard {
    owners: Vec<AdminId>,
    quotas: Vec<StoredQuota>,
}

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// A quota has no room for it.
    #[error("{0}")]
    Refused(QuotaRefusal),
    /// A user came to another owner while the owner was being locked.
    #[error("the owner of a user changed meanwhile")]
    OwnerChanged,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for QuotaError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::OwnerChanged => true,
            Self::Store(error) => error.is_transient(),
        }
    }
}

/// Users by which a change adds to the use of a quota.
#[derive(Clone, Copy, Debug, Default)]
struct Growth {
    came: i64,
    active: i64,
    enabled: i64,
}

impl Growth {
    /// The use that a user adds to that of its owner. `is_marked`: a quota has disabled it, and is going to enable it again.
    fn of(before: Option<&User>, after: &User, owner: AdminId, is_marked: bool, now: Moment) -> Self {
        let before = before.filter(|before| before.owner.as_ref().is_some_and(|was| was.id == owner));
        let was = |is: fn(&User, Moment) -> bool| before.is_some_and(|before| is(before, now));
        let is_enabled = |user: &User, _| user.enabled;
        let is_active = if is_marked { would_be_active } else { is_counted_active };
        Self {
            came: i64::from(before.is_none()),
            active: i64::from(is_active(after, now) && !was(is_active)),
            enabled: i64::from(after.enabled && !was(is_enabled)),
        }
    }

    const fn is_none(&self) -> bool {
        self.came == 0 && self.active == 0 && self.enabled == 0
    }

    const fn add(&mut self, more: Self) {
        self.came += more.came;
        self.active += more.active;
        self.enabled += more.enabled;
    }
}

/// A change of all users of an admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::actions) enum OfAll {
    /// All are enabled.
    Enabled,
    /// The traffic of all is reset.
    Reset,
}

impl Guard {
    /// Locks the quota of an admin whose row is locked.
    pub(in crate::actions) async fn of_owner(tx: &mut Tx, owner: AdminId) -> Result<Self, StoreError> {
        let quota = quotas::lock(tx, owner).await?;
        Ok(Self { owners: vec![owner], quotas: quota.into_iter().collect() })
    }

    /// Locks the owner of the user of this name, before the user, and its quota.
    pub(in crate::actions) async fn of_user(tx: &mut Tx, username: &str) -> Result<Self, StoreError> {
        // No user has such a name, and PostgreSQL fails on a text with NUL.
        let owner = if username.contains('\0') { None } else { quotas::lock_owner_of(tx, username).await? };
        match owner {
            Some(owner) => Self::of_owner(tx, owner).await,
            None => Ok(Self { owners: Vec::new(), quotas: Vec::new() }),
        }
    }

    /// Locks the owners of these users, before the users, and their quotas.
    pub(in crate::actions) async fn of_users(tx: &mut Tx, users: &IdList) -> Result<Self, StoreError> {
        let (owners, quotas) = quotas::lock_owners_of(tx, users).await?;
        Ok(Self { owners, quotas })
    }

    /// Locks an admin and its quota.
    pub(in crate::actions) async fn of_admin(tx: &mut Tx, admin: AdminId) -> Result<Self, StoreError> {
        quotas::lock_admin(tx, admin).await?;
        Self::of_owner(tx, admin).await
    }

    /// Checks changes that were written, each with the state before; `None`: the user is new.
    pub(in crate::actions) async fn check<'u>(
        &self,
        tx: &mut Tx,
        changes: impl IntoIterator<Item = (Option<&'u User>, &'u User)> + Send,
        now: Moment,
    ) -> Result<(), QuotaError> {
        let changes: Vec<(Option<&User>, &User)> = changes.into_iter().collect();
        let marked = self.marked(tx, &changes).await?;
        let mut grown = vec![Growth::default(); self.quotas.len()];
        for (before, after) in changes {
            let Some(owner) = after.owner.as_ref().map(|owner| owner.id) else { continue };
            let growth = Growth::of(before, after, owner, marked.contains(&after.id.0), now);
            if growth.is_none() && before.is_some_and(|before| !differs_in_limits(before, after)) {
                continue;
            }
            if !self.owners.contains(&owner) {
                return Err(QuotaError::OwnerChanged);
            }
            let own = self.quotas.iter().zip(&mut grown).find(|(quota, _)| quota.of.admin == owner);
            if let Some((quota, sum)) = own {
                quota.of.quota.check_user(before, after, now).map_err(QuotaError::Refused)?;
                sum.add(growth);
            }
        }
        for (quota, growth) in self.quotas.iter().zip(grown) {
            check_growth(tx, quota, growth, now).await?;
        }
        Ok(())
    }

    /// The changed users whom a quota has disabled, if active users are limited.
    async fn marked(&self, tx: &mut Tx, changes: &[(Option<&User>, &User)]) -> Result<BTreeSet<i64>, StoreError> {
        let disabled = changes.iter().filter(|(_, after)| !after.enabled).map(|(_, after)| after.id.0);
        let ids = IdList::new(disabled);
        let asks = self.quotas.iter().any(|quota| quota.of.quota.active_users.is_some());
        if asks && !ids.is_empty() { disabled::among(tx, &ids).await } else { Ok(BTreeSet::new()) }
    }

    /// Checks that users who came to the only owner of this guard have room; they were written already. Any of them may be active.
    pub(in crate::actions) async fn check_came(&self, tx: &mut Tx, users: i64, now: Moment) -> Result<(), QuotaError> {
        for quota in &self.quotas {
            check_growth(tx, quota, Growth { came: users, active: users, enabled: users }, now).await?;
        }
        Ok(())
    }

    /// Checks that all users of another admin have room, before the first of them comes.
    pub(in crate::actions) async fn check_all_of(
        &self,
        tx: &mut Tx,
        from: AdminId,
        now: Moment,
    ) -> Result<(), QuotaError> {
        for quota in &self.quotas {
            for counted in [Counted::Users, Counted::ActiveUsers] {
                let Some(limit) = quota.of.quota.limit(counted) else { continue };
                let more = quotas::used(tx, from, counted, now).await?;
                let used = quotas::used(tx, quota.of.admin, counted, now).await?;
                if more > 0 && used + more > limit {
                    return refuse(quota, counted, used, more);
                }
            }
        }
        Ok(())
    }

    /// Checks that there is room for a change of all users of the only owner of this guard, before it is made part by part. Each part
    /// checks again: other changes may have taken the places of users whose part is still to come. That counts the active users each
    /// time, unless there are so few users that all of them may be active.
    pub(in crate::actions) async fn check_own(
        &self,
        tx: &mut Tx,
        change: OfAll,
        now: Moment,
    ) -> Result<(), QuotaError> {
        for quota in &self.quotas {
            if change == OfAll::Enabled {
                check_growth(tx, quota, Growth { enabled: 1, ..Growth::default() }, now).await?;
            }
            let Some(limit) = quota.of.quota.active_users else { continue };
            if quotas::used(tx, quota.of.admin, Counted::Users, now).await? <= limit {
                continue;
            }
            let as_if = AsIf { enabled: change == OfAll::Enabled, reset: change == OfAll::Reset };
            let after = quotas::active_users(tx, quota.of.admin, as_if, now).await?;
            if after > limit {
                let used = quotas::active_users(tx, quota.of.admin, AsIf::default(), now).await?;
                if after > used {
                    return refuse(quota, Counted::ActiveUsers, used, after - used);
                }
            }
        }
        Ok(())
    }
}

fn differs_in_limits(before: &User, after: &User) -> bool {
    before.data_limit != after.data_limit || before.expiry != after.expiry
}

/// Counts after the change was written.
async fn check_growth(tx: &mut Tx, quota: &StoredQuota, growth: Growth, now: Moment) -> Result<(), QuotaError> {
    let limits = &quota.of.quota;
    let asks_traffic = growth.came > 0 || (growth.enabled > 0 && limits.when_used_up == WhenUsedUp::Disable);
    if limits.traffic.is_some() && asks_traffic {
        let used = quotas::used(tx, quota.of.admin, Counted::Traffic, now).await?;
        if limits.is_used_up(used) {
            return refuse(quota, Counted::Traffic, used, 0);
        }
    }
    for (counted, more) in [(Counted::Users, growth.came), (Counted::ActiveUsers, growth.active)] {
        let Some(limit) = limits.limit(counted).filter(|_| more > 0) else { continue };
        let used = quotas::used(tx, quota.of.admin, counted, now).await?;
        if used > limit {
            return refuse(quota, counted, used - more, more);
        }
    }
    Ok(())
}

fn refuse(quota: &StoredQuota, counted: Counted, used: i64, more: i64) -> Result<(), QuotaError> {
    match quota.of.refusal(counted, used, more) {
        Some(refusal) => Err(QuotaError::Refused(refusal)),
        None => Ok(()),
    }
}
