//! The numbers that a quota limits, and how they are counted.

use crate::domain::moment::Moment;
use crate::domain::user::{ResetStrategy, User};

/// The percentages of use of which is notified, once per period.
const THRESHOLDS: [i64; 2] = [80, 100];

/// A number that a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// All users.
    Users,
    /// Active users.
    ActiveUsers,
    /// Traffic.
    Traffic,
}

/// How much of a quota is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Users that are not removed.
    pub users: i64,
    /// Users that [`is_counted_active`].
    pub active_users: i64,
    /// Bytes since the period began.
    pub traffic: i64,
}

impl Use {
    /// The same with another number.
    #[must_use]
    pub const fn with(self, counted: Counted, number: i64) -> Self {
        match counted {
            Counted::Users => Self { users: number, ..self },
            Counted::ActiveUsers => Self { active_users: number, ..self },
            Counted::Traffic => Self { traffic: number, ..self },
        }
    }

    /// One of the numbers.
    pub const fn of(&self, counted: Counted) -> i64 {
        match counted {
            Counted::Users => self.users,
            Counted::ActiveUsers => self.active_users,
            Counted::Traffic => self.traffic,
        }
    }
}

/// True for a user that is not removed, is enabled, has not expired, and has data left or gets some at the next reset. Time
/// alone never makes a user active: a slot that a periodic reset fills again stays taken.
pub fn is_counted_active(user: &User, now: Moment) -> bool {
    user.enabled && would_be_active(user, now)
}

/// True for a user that is counted as active once it is enabled: a user whom a used-up quota has disabled is, by the next period.
pub fn would_be_active(user: &User, now: Moment) -> bool {
    let ended = user.is_data_limit_reached() && user.reset_strategy == ResetStrategy::NoReset;
    !user.removed && !user.is_expired(now) && !ended
}

/// The highest threshold that a use has reached; 0: none.
pub fn percent_reached(used: i64, limit: i64) -> i64 {
    let reached = |percent: &i64| i128::from(used) * 100 >= i128::from(limit) * i128::from(*percent);
    THRESHOLDS.into_iter().rfind(reached).unwrap_or(0)
}

impl Counted {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Users, Self::ActiveUsers, Self::Traffic];

    /// The name of the field in the API.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::ActiveUsers => "active_users",
            Self::Traffic => "traffic",
        }
    }

    pub(super) const fn phrase(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::ActiveUsers => "active users",
            Self::Traffic => "traffic",
        }
    }

    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Users | Self::ActiveUsers => "",
            Self::Traffic => " bytes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::quota::MOST;
    use crate::domain::user::{Expiry, sample};

    const NOW: Moment = Moment::from_micros(1_000_000_000_000_000);

    #[test]
    fn user_whose_data_comes_back_by_itself_stays_counted() {
        let used = User { data_limit: Some(5), used_traffic: 5, ..sample(NOW) };
        assert!(is_counted_active(&sample(NOW), NOW) && !is_counted_active(&used, NOW));
        assert!(is_counted_active(&User { reset_strategy: ResetStrategy::Month, ..used }, NOW));
        assert!(!is_counted_active(&User { expiry: Expiry::FixedDate(NOW.plus(-1)), ..sample(NOW) }, NOW));
        assert!(!is_counted_active(&User { enabled: false, ..sample(NOW) }, NOW));
    }

    #[test]
    fn thresholds_are_reached_exactly() {
        let reached =
            [(0, 5), (3, 5), (4, 5), (5, 5), (9, 5), (7, 9), (MOST, MOST)].map(|(used, of)| percent_reached(used, of));
        assert_eq!(reached, [0, 0, 80, 100, 100, 0, 100]);
    }
}
