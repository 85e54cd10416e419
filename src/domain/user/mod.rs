//! A user: when the account runs out, what state it is in, and what of that the nodes should know.

pub mod document;
pub mod edit;
mod expiry;
pub mod set;
pub mod username;

use std::fmt::Write;

use crate::domain::ids::{AdminId, ServiceId, UserId};
use crate::domain::moment::Moment;

pub use expiry::{ExpireStrategy, Expiry, ExpiryError};

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
    /// A user with nothing but an id, a name and a key: enabled, without owner, services, limits and end. Every other
    /// way to make a user starts here, so that a new field is given its default in one place.
    pub fn bare(id: UserId, username: &str, key: &str, created_at: Moment) -> Self {
        Self {
            id,
            username: Some(username.to_owned()),
            key: key.to_owned(),
            owner: None,
            enabled: true,
            activated: true,
            removed: false,
            expiry: Expiry::Never,
            usage_duration: None,
            data_limit: None,
            reset_strategy: ResetStrategy::NoReset,
            used_traffic: 0,
            lifetime_used_traffic: 0,
            online_at: None,
            traffic_reset_at: None,
            note: None,
            created_at,
            edit_at: None,
            sub_revoked_at: None,
            sub_updated_at: None,
            sub_last_user_agent: None,
            service_ids: Vec::new(),
        }
    }

    /// The fixed date has passed.
    pub fn is_expired(&self, now: Moment) -> bool {
        matches!(self.expiry, Expiry::FixedDate(date) if date < now)
    }

    /// Bytes until the limit, which may have been passed; `None`: there is no limit.
    pub fn data_left(&self) -> Option<i64> {
        self.data_limit.map(|limit| limit.saturating_sub(self.used_traffic))
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

    /// What of this user the nodes should know: nothing once it is not activated. Where this differs before and after
    /// a change, the user must be marked.
    pub fn told(&self) -> Option<(&str, &[ServiceId])> {
        (self.activated && !self.removed).then_some((self.key.as_str(), self.service_ids.as_slice()))
    }

    /// Switches the account on; false when it is on already.
    pub fn enable(&mut self, now: Moment) -> bool {
        let changed = !self.enabled;
        if changed {
            self.enabled = true;
            self.activated = self.is_active(now);
        }
        changed
    }

    /// Switches the account off; false when it is off already.
    pub fn disable(&mut self) -> bool {
        let changed = self.enabled;
        self.enabled = false;
        self.activated = false;
        changed
    }

    /// Sets used traffic back to zero, which may make the account work again.
    pub fn reset_traffic(&mut self, now: Moment) {
        let was_active = self.is_active(now);
        self.used_traffic = 0;
        self.traffic_reset_at = Some(now);
        if !was_active && self.is_active(now) {
            self.activated = true;
        }
    }

    /// Takes all credentials away and gives new ones.
    pub fn revoke(&mut self, new_key: String, now: Moment) {
        self.key = new_key;
        self.sub_revoked_at = Some(now);
    }

    /// Deletes: the name is free again, the row stays for the owner's sums.
    pub fn remove(&mut self) {
        self.username = None;
        self.removed = true;
        self.activated = false;
    }

    /// The link to this user's subscription. `prefix` stands where the owner has none; each `*` becomes 16 random hex
    /// digits. A removed user has no link.
    pub fn subscription_url(&self, prefix: &str, mut chance: impl FnMut() -> u64) -> Option<String> {
        let own = self.owner.as_ref().map(|owner| owner.subscription_url_prefix.as_str());
        let prefix = own.filter(|own| !own.is_empty()).unwrap_or(prefix).trim_end_matches('/');
        let mut parts = prefix.split('*');
        let mut url = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            // Writing to a String can't fail.
            let _ = write!(url, "{:016x}{part}", chance());
        }
        let _ = write!(url, "/sub/{}/{}", self.username.as_ref()?, self.key);
        Some(url)
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

/// A user that works, for the tests of this room.
#[cfg(test)]
pub(in crate::domain) fn sample(now: Moment) -> User {
    let key = "00000000000000000000000000000001";
    User { service_ids: vec![ServiceId(1)], ..User::bare(UserId(1), "sample", key, now) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_micros(1_000_000_000_000_000);

    #[test]
    fn an_account_works_until_its_date_and_its_limit() {
        let user = sample(NOW);
        assert!(user.is_active(NOW));
        assert!(User { expiry: Expiry::FixedDate(NOW), ..user.clone() }.is_active(NOW));
        assert!(!User { expiry: Expiry::FixedDate(NOW.plus(-1)), ..user.clone() }.is_active(NOW));
        assert!(User { data_limit: Some(5), used_traffic: 4, ..user.clone() }.is_active(NOW));
        assert!(!User { data_limit: Some(5), used_traffic: 5, ..user.clone() }.is_active(NOW));
        assert!(!User { enabled: false, ..user.clone() }.is_active(NOW));
        assert!(!User { removed: true, ..user }.is_active(NOW));
    }

    #[test]
    fn nodes_are_told_of_an_enabled_user_only_when_the_account_works() {
        let mut user = User { expiry: Expiry::FixedDate(NOW.plus(-1)), ..sample(NOW) };
        assert!(!user.enable(NOW), "it is on");
        assert!(user.activated, "and nothing changes");
        assert!(user.disable());
        assert!(!user.disable(), "it is off");
        assert_eq!(user.told(), None);
        assert!(user.enable(NOW));
        assert_eq!(user.told(), None);
    }

    #[test]
    fn a_reset_brings_a_limited_user_back_and_no_other() {
        let limited = User { data_limit: Some(5), used_traffic: 5, activated: false, ..sample(NOW) };
        let mut user = limited.clone();
        user.reset_traffic(NOW);
        assert!(user.activated);
        assert_eq!((user.used_traffic, user.traffic_reset_at), (0, Some(NOW)));
        let mut expired = User { expiry: Expiry::FixedDate(NOW.plus(-1)), ..limited };
        expired.reset_traffic(NOW);
        assert!(!expired.activated);
    }

    #[test]
    fn a_new_key_is_news_to_the_nodes_of_an_activated_user() {
        let before = sample(NOW);
        let mut user = before.clone();
        user.revoke("00000000000000000000000000000002".to_owned(), NOW);
        assert_ne!(user.told(), before.told());
    }

    #[test]
    fn links_use_the_owners_prefix_and_a_salt_per_star() {
        let mut user = sample(NOW);
        let path = "/sub/sample/00000000000000000000000000000001";
        let mut salt = 0;
        let mut count = || {
            salt += 1;
            salt
        };
        assert_eq!(user.subscription_url("https://x.example/", &mut count), Some(format!("https://x.example{path}")));
        user.owner = Some(Owner {
            id: AdminId(1),
            username: "root".to_owned(),
            subscription_url_prefix: "https://*.example/*".to_owned(),
        });
        assert_eq!(
            user.subscription_url("https://x.example", &mut count),
            Some(format!("https://0000000000000001.example/0000000000000002{path}"))
        );
        user.remove();
        assert_eq!(user.subscription_url("https://x.example", count), None);
    }
}
