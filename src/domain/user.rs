//! A user: when the account runs out, what state it is in, and what of that the nodes should know.

use super::ids::{AdminId, ServiceId, UserId};
use super::moment::{Moment, SECOND};

/// When an account ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// At a moment, which may lie in the past.
    FixedDate(Moment),
    /// On hold: a duration that starts with the first use, or at the deadline.
    StartOnFirstUse {
        /// Seconds; may be negative.
        duration: i64,
        /// When it starts at the latest.
        deadline: Option<Moment>,
    },
}

/// How often used traffic goes back to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetStrategy {
    /// Never.
    NoReset,
    /// Every day.
    Day,
    /// Every 7 days.
    Week,
    /// Every 30 days.
    Month,
    /// Every 365 days.
    Year,
}

/// A user as the panel knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The row.
    pub id: UserId,
    /// 3 to 32 letters, digits or underscores, lower case. `None` once removed.
    pub username: Option<String>,
    /// What all credentials derive from; usually 32 hex digits. Unique for ever.
    pub key: String,
    /// Whose user this is.
    pub owner: Option<Owner>,
    /// Switched on by an admin.
    pub enabled: bool,
    /// What the nodes were last told.
    pub activated: bool,
    /// Deleted: only the row is left, for the owner's sums.
    pub removed: bool,
    /// When the account ends.
    pub expiry: Expiry,
    /// The duration once an on-hold account has started (seconds); kept for display only.
    pub usage_duration: Option<i64>,
    /// Bytes; `None`: unlimited.
    pub data_limit: Option<i64>,
    /// How often used traffic goes back to zero.
    pub reset_strategy: ResetStrategy,
    /// Bytes since the last reset.
    pub used_traffic: i64,
    /// Bytes ever.
    pub lifetime_used_traffic: i64,
    /// The last time traffic was seen.
    pub online_at: Option<Moment>,
    /// The last reset.
    pub traffic_reset_at: Option<Moment>,
    /// An admin's remark, at most 500 characters.
    pub note: Option<String>,
    /// When it was made.
    pub created_at: Moment,
    /// When it was last edited.
    pub edit_at: Option<Moment>,
    /// When the key was last revoked.
    pub sub_revoked_at: Option<Moment>,
    /// When the subscription was last fetched.
    pub sub_updated_at: Option<Moment>,
    /// By which program.
    pub sub_last_user_agent: Option<String>,
    /// The services, by id.
    pub service_ids: Vec<ServiceId>,
}

/// An owner, as far as a user shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The admin.
    pub id: AdminId,
    /// The admin's name.
    pub username: String,
    /// The admin's own subscription prefix; empty: the global one.
    pub subscription_url_prefix: String,
}

impl User {
    /// The fixed date has passed.
    pub fn is_expired(&self, now: Moment) -> bool {
        matches!(self.expiry, Expiry::FixedDate(date) if date < now)
    }

    /// All traffic is used up.
    pub fn is_data_limit_reached(&self) -> bool {
        self.data_limit.is_some_and(|limit| self.used_traffic >= limit)
    }

    /// The account works.
    pub fn is_active(&self, now: Moment) -> bool {
        self.enabled && !self.removed && !self.is_expired(now) && !self.is_data_limit_reached()
    }

    /// Waits for its first use.
    pub const fn is_on_hold(&self) -> bool {
        matches!(self.expiry, Expiry::StartOnFirstUse { .. })
    }
}

impl Expiry {
    /// The word of the API and the database.
    pub const fn strategy(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::FixedDate(_) => "fixed_date",
            Self::StartOnFirstUse { .. } => "start_on_first_use",
        }
    }

    /// Starts an on-hold account at `now`; other accounts stay as they are.
    #[must_use]
    pub const fn started(self, now: Moment) -> Self {
        match self {
            Self::StartOnFirstUse { duration, .. } => Self::FixedDate(now.plus(duration.saturating_mul(SECOND))),
            other => other,
        }
    }
}

impl ResetStrategy {
    /// All, in the API's order.
    pub const ALL: [Self; 5] = [Self::NoReset, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoReset => "no_reset",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.word() == word)
    }
}
