//! A change of many users at once, decided user by user.

use super::edit::UserEdit;
use super::{Expiry, ExpiryEdit, Owner, User};
use crate::domain::ids::ServiceId;
use crate::domain::moment::{Moment, SECOND};

/// Most seconds by which a bulk change extends accounts: ten years.
pub const MAX_EXTENSION: i64 = 3_650 * 86_400;
/// Most bytes that a bulk change adds to data limits: 1 PiB.
pub const MAX_DATA: i64 = 1 << 50;

/// A change that is the same for all users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkChange {
    /// Enables accounts.
    Enable,
    /// Disables accounts.
    Disable,
    /// Resets used traffic to zero.
    ResetTraffic,
    /// Replaces keys.
    Revoke,
    /// Deletes users.
    Delete,
    /// Extends a fixed date, from now if it has passed, or the duration of an account on hold, by seconds above 0.
    Extend(i64),
    /// Raises data limits by bytes above 0.
    AddData(i64),
    /// Gives users to another admin.
    SetOwner(Owner),
    /// Adds a service.
    AddService(ServiceId),
    /// Removes a service.
    RemoveService(ServiceId),
}

impl BulkChange {
    /// Applies the change; false if it does not alter the user: an enabled user is not enabled, an account without a limit
    /// gets no data. A deleted user has no name any more.
    pub fn apply(&self, user: &mut User, now: Moment, new_key: impl FnOnce() -> String) -> bool {
        let edit = match self {
            Self::Enable => return user.enable(now),
            Self::Disable => return user.disable(),
            Self::ResetTraffic => {
                user.reset_traffic(now);
                return true;
            }
            Self::Revoke => {
                user.revoke(new_key(), now);
                return true;
            }
            Self::Delete => {
                user.remove();
                return true;
            }
            Self::SetOwner(owner) => {
                let changed = user.owner.as_ref().map(|owner| owner.id) != Some(owner.id);
                user.owner = Some(owner.clone());
                return changed;
            }
            Self::Extend(seconds) => match extended(user.expiry, *seconds, now) {
                Some(expiry) => UserEdit { expiry, ..UserEdit::default() },
                None => return false,
            },
            Self::AddData(bytes) => match user.data_limit {
                Some(limit) => UserEdit { data_limit: Some(limit.saturating_add(*bytes)), ..UserEdit::default() },
                None => return false,
            },
            Self::AddService(service) if user.service_ids.contains(service) => return false,
            Self::AddService(service) => {
                let mut ids = user.service_ids.clone();
                ids.push(*service);
                ids.sort_unstable();
                UserEdit { service_ids: Some(ids), ..UserEdit::default() }
            }
            Self::RemoveService(service) if !user.service_ids.contains(service) => return false,
            Self::RemoveService(service) => {
                let ids = user.service_ids.iter().copied().filter(|id| id != service).collect();
                UserEdit { service_ids: Some(ids), ..UserEdit::default() }
            }
        };
        user.edit(edit, now);
        true
    }
}

/// The expiry that an extension gives; `None` for an account that never expires.
fn extended(expiry: Expiry, seconds: i64, now: Moment) -> Option<ExpiryEdit> {
    match expiry {
        Expiry::Never => None,
        Expiry::FixedDate(date) => Some(Expiry::FixedDate(date.max(now).plus(seconds.saturating_mul(SECOND))).into()),
        Expiry::StartOnFirstUse { duration, deadline } => {
            Some(Expiry::StartOnFirstUse { duration: duration.saturating_add(seconds), deadline }.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::domain::ids::AdminId;

    const NOW: Moment = Moment::from_micros(1_000_000_000_000_000);
    const DAY: i64 = 86_400;

    fn applied(change: &BulkChange, user: &User) -> (bool, User) {
        let mut user = user.clone();
        (change.apply(&mut user, NOW, || "f".repeat(32)), user)
    }

    #[test]
    fn extension_counts_from_the_date_or_from_now_if_it_has_passed() {
        let after = |expiry| applied(&BulkChange::Extend(DAY), &User { expiry, activated: false, ..sample(NOW) }).1;
        let (past, future) = (NOW.plus(-50 * DAY * SECOND), NOW.plus(DAY * SECOND));
        assert_eq!(after(Expiry::FixedDate(future)).expiry, Expiry::FixedDate(NOW.plus(2 * DAY * SECOND)));
        let renewed = after(Expiry::FixedDate(past));
        assert_eq!(renewed.expiry, Expiry::FixedDate(NOW.plus(DAY * SECOND)));
        assert!(renewed.activated, "the account works again");
        let on_hold = Expiry::StartOnFirstUse { duration: 5, deadline: Some(future) };
        let extended = Expiry::StartOnFirstUse { duration: 5 + DAY, deadline: Some(future) };
        assert_eq!(after(on_hold).expiry, extended);
        assert!(!applied(&BulkChange::Extend(DAY), &sample(NOW)).0, "an account that never expires");
    }

    #[test]
    fn data_is_added_to_a_limit_and_not_to_none() {
        let limited = User { data_limit: Some(5), used_traffic: 5, activated: false, ..sample(NOW) };
        let (changed, user) = applied(&BulkChange::AddData(3), &limited);
        assert!(changed && user.activated && user.data_limit == Some(8));
        assert_eq!(applied(&BulkChange::AddData(3), &sample(NOW)), (false, sample(NOW)));
    }

    #[test]
    fn change_that_alters_nothing_is_none() {
        let user = sample(NOW);
        let owner = Owner { id: AdminId(1), username: "a".into(), subscription_url_prefix: String::new() };
        let owned = User { owner: Some(owner.clone()), ..user.clone() };
        for (change, user) in [
            (BulkChange::Enable, &user),
            (BulkChange::AddService(ServiceId(1)), &user),
            (BulkChange::RemoveService(ServiceId(2)), &user),
            (BulkChange::SetOwner(owner), &owned),
        ] {
            assert_eq!(applied(&change, user), (false, user.clone()), "{change:?}");
        }
        assert_eq!(applied(&BulkChange::AddService(ServiceId(0)), &user).1.service_ids, [ServiceId(0), ServiceId(1)]);
    }
}
