//! Why a quota refuses a change, or a new quota is refused.

use std::fmt;

use super::Counted;

/// Why a quota refuses a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaRefusal {
    /// Nothing is left, or not enough.
    UsedUp {
        /// The admin's name.
        username: String,
        /// The number that is used up.
        counted: Counted,
        /// Size of the quota.
        limit: i64,
        /// Use without the refused change.
        used: i64,
        /// Use that the change would add; 0 for traffic.
        more: i64,
    },
    /// A user has a larger data limit than allowed, or none.
    DataLimit(i64),
    /// An account lasts longer than allowed, or for ever.
    Duration {
        /// Most seconds.
        most: i64,
        /// The field of the user that says so.
        field: &'static str,
    },
}

/// A new quota is smaller than its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BelowUse {
    /// The number.
    pub counted: Counted,
    /// The use.
    pub used: i64,
}

impl QuotaRefusal {
    /// The field of the user, or of the quota, that is refused.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::UsedUp { counted, .. } => counted.field(),
            Self::DataLimit(_) => "data_limit",
            Self::Duration { field, .. } => field,
        }
    }
}

impl fmt::Display for QuotaRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedUp { username, counted, limit, used, more } => {
                let (phrase, unit) = (counted.phrase(), counted.unit());
                write!(f, "the quota of {phrase} of admin {username} is used up: {used} of {limit}{unit}")?;
                if used < limit { write!(f, ", and {more} more are asked for") } else { Ok(()) }
            }
            Self::DataLimit(most) => {
                write!(f, "the quota of the user's admin allows at most {most} bytes, and no user without a limit")
            }
            Self::Duration { most, .. } => {
                write!(f, "the quota of the user's admin allows at most {most} seconds, and no user without an end")
            }
        }
    }
}

impl fmt::Display for BelowUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must not be below the use, which is {}{}", self.used, self.counted.unit())
    }
}
