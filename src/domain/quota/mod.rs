//! The quota of an admin: how many users it may have, what they may use, and what is refused when it is used up.

mod counted;
pub mod notice;
mod refusal;

use super::ids::AdminId;
use super::moment::{DAY, Moment, SECOND};
use super::user::{Expiry, ResetStrategy, User};

pub use counted::{Counted, Use, is_counted_active, percent_reached, would_be_active};
pub use refusal::{BelowUse, QuotaRefusal};

/// The largest limit.
pub const MOST: i64 = 1 << 60;

/// Limits of an admin; `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Users that are not removed.
    pub users: Option<i64>,
    /// Users that [`is_counted_active`].
    pub active_users: Option<i64>,
    /// Bytes that are recorded for the admin's users in a period.
    pub traffic: Option<i64>,
    /// Length of that period.
    pub traffic_reset_strategy: ResetStrategy,
    /// Largest data limit of a user, in bytes.
    pub max_data_limit: Option<i64>,
    /// Longest duration of an account, in seconds.
    pub max_duration: Option<i64>,
    /// Consequence of used-up traffic.
    pub when_used_up: WhenUsedUp,
}

/// The consequence of used-up traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUsedUp {
    /// New users are refused.
    Refuse,
    /// New users are refused, and the admin's users are disabled until the quota is raised or reset.
    Disable,
}

/// The quota of an admin as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminQuota {
    /// The admin.
    pub admin: AdminId,
    /// The admin's name.
    pub username: String,
    /// The limits.
    pub quota: Quota,
    /// When the period of the traffic began.
    pub counted_since: Moment,
}

impl Quota {
    /// No limits.
    pub const NONE: Self = Self {
        users: None,
        active_users: None,
        traffic: None,
        traffic_reset_strategy: ResetStrategy::NoReset,
        max_data_limit: None,
        max_duration: None,
        when_used_up: WhenUsedUp::Refuse,
    };

    /// True if nothing is limited.
    pub const fn is_none(&self) -> bool {
        self.users.is_none()
            && self.active_users.is_none()
            && self.traffic.is_none()
            && self.max_data_limit.is_none()
            && self.max_duration.is_none()
    }

    /// The limit of a number.
    pub const fn limit(&self, counted: Counted) -> Option<i64> {
        match counted {
            Counted::Users => self.users,
            Counted::ActiveUsers => self.active_users,
            Counted::Traffic => self.traffic,
        }
    }

    /// True if the traffic is used up.
    pub fn is_used_up(&self, traffic: i64) -> bool {
        self.traffic.is_some_and(|limit| traffic >= limit)
    }

    /// True if the admin's users must be disabled.
    pub fn disables(&self, traffic: i64) -> bool {
        self.when_used_up == WhenUsedUp::Disable && self.is_used_up(traffic)
    }

    /// Checks that no limit is below its use. Traffic may be used up to the last byte, and users may be all there.
    pub fn check_use(&self, used: &Use) -> Result<(), BelowUse> {
        let below = |counted: &Counted| self.limit(*counted).is_some_and(|limit| limit < used.of(*counted));
        match Counted::ALL.into_iter().find(below) {
            Some(counted) => Err(BelowUse { counted, used: used.of(counted) }),
            None => Ok(()),
        }
    }

    /// Checks the data limit and the duration of a user, where they are new.
    pub fn check_user(&self, before: Option<&User>, after: &User, now: Moment) -> Result<(), QuotaRefusal> {
        let new_limit = before.is_none_or(|before| before.data_limit != after.data_limit);
        if let Some(most) = self.max_data_limit.filter(|_| new_limit)
            && after.data_limit.is_none_or(|limit| limit > most)
        {
            return Err(QuotaRefusal::DataLimit(most));
        }
        let new_expiry = before.is_none_or(|before| before.expiry != after.expiry);
        if let Some(most) = self.max_duration.filter(|_| new_expiry) {
            let (is_longer, field) = match after.expiry {
                Expiry::Never => (true, "expire_strategy"),
                Expiry::FixedDate(date) => (date.since(now) > most.saturating_mul(SECOND), "expire_date"),
                Expiry::StartOnFirstUse { duration, .. } => (duration > most, "usage_duration"),
            };
            if is_longer {
                return Err(QuotaRefusal::Duration { most, field });
            }
        }
        Ok(())
    }
}

impl AdminQuota {
    /// When the period ends; `None`: never.
    pub fn next_reset_at(&self) -> Option<Moment> {
        let days = match self.quota.traffic_reset_strategy {
            ResetStrategy::NoReset => return None,
            ResetStrategy::Day => 1,
            ResetStrategy::Week => 7,
            ResetStrategy::Month => 30,
            ResetStrategy::Year => 365,
        };
        self.quota.traffic.map(|_| self.counted_since.plus(days * DAY))
    }

    /// A refusal because of this use, to which a change would add more.
    pub fn refusal(&self, counted: Counted, used: i64, more: i64) -> Option<QuotaRefusal> {
        let limit = self.quota.limit(counted)?;
        Some(QuotaRefusal::UsedUp { username: self.username.clone(), counted, limit, used, more })
    }
}

impl WhenUsedUp {
    /// All values.
    pub const ALL: [Self; 2] = [Self::Refuse, Self::Disable];

    /// The text form in the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Disable => "disable",
        }
    }

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::sample;

    const NOW: Moment = Moment::from_micros(1_000_000_000_000_000);

    #[test]
    fn limit_or_duration_is_checked_only_where_it_is_new() {
        let quota = Quota { max_data_limit: Some(100), max_duration: Some(60), ..Quota::NONE };
        let fits = User { data_limit: Some(100), expiry: Expiry::FixedDate(NOW.plus(60 * SECOND)), ..sample(NOW) };
        assert_eq!(quota.check_user(None, &fits, NOW), Ok(()));
        let (more, unlimited) =
            (User { data_limit: Some(101), ..fits.clone() }, User { data_limit: None, ..fits.clone() });
        for wrong in [&more, &unlimited] {
            assert_eq!(quota.check_user(None, wrong, NOW), Err(QuotaRefusal::DataLimit(100)));
            assert_eq!(quota.check_user(Some(&fits), wrong, NOW), Err(QuotaRefusal::DataLimit(100)));
            assert_eq!(quota.check_user(Some(wrong), wrong, NOW), Ok(()), "from before the quota");
        }
        let on_hold = |duration| Expiry::StartOnFirstUse { duration, deadline: None };
        let late = Expiry::FixedDate(NOW.plus(60 * SECOND + 1));
        for (expiry, field) in
            [(Expiry::Never, "expire_strategy"), (late, "expire_date"), (on_hold(61), "usage_duration")]
        {
            let long = User { expiry, ..fits.clone() };
            let refused = Err(QuotaRefusal::Duration { most: 60, field });
            assert_eq!(quota.check_user(Some(&fits), &long, NOW), refused);
        }
        assert_eq!(quota.check_user(None, &User { expiry: on_hold(60), ..fits }, NOW), Ok(()));
    }

    #[test]
    fn quota_below_its_use_is_refused_and_an_exact_one_is_not() {
        let used = Use { users: 3, active_users: 2, traffic: 10 };
        let quota = Quota { users: Some(3), active_users: Some(2), traffic: Some(10), ..Quota::NONE };
        assert_eq!(quota.check_use(&used), Ok(()));
        let below = Quota { traffic: Some(9), ..quota }.check_use(&used).unwrap_err();
        assert_eq!(below.to_string(), "must not be below the use, which is 10 bytes");
        assert!(quota.is_used_up(10) && !quota.disables(10));
    }

    #[test]
    fn refusal_names_the_quota_its_size_and_its_use() {
        let quota = Quota { users: Some(3), ..Quota::NONE };
        let quota = AdminQuota { admin: AdminId(1), username: "bob".into(), quota, counted_since: NOW };
        let text = |used, more| quota.refusal(Counted::Users, used, more).unwrap().to_string();
        assert_eq!(text(3, 1), "the quota of users of admin bob is used up: 3 of 3");
        assert_eq!(text(1, 3), "the quota of users of admin bob is used up: 1 of 3, and 3 more are asked for");
        assert_eq!(quota.refusal(Counted::Traffic, 3, 0), None);
    }
}
