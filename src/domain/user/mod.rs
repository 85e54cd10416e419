//! A user: the state of the account, and the part of it that nodes have.

pub mod bulk;
pub mod document;
pub mod edit;
mod expiry;
pub mod set;
pub mod username;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{AdminId, ServiceId, UserId};
use crate::domain::moment::Moment;

pub use expiry::{ExpireStrategy, Expiry, ExpiryEdit, ExpiryError, ExpiryFields};

/// How often the used traffic is reset.
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

/// A user.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The row.
    pub id: UserId,
    /// 3 to 32 word characters, lower case. `None` once removed.
    pub username: Option<String>,
    /// The subscription key, from which all credentials derive; usually 32 hex digits. Never used again for another user.
    pub key: String,
    /// The owner.
    pub owner: Option<Owner>,
    /// Enabled by an admin.
    pub enabled: bool,
    /// True when nodes should have the user.
    pub activated: bool,
    /// Deleted: only the row remains, for the owner's totals.
    pub removed: bool,
    /// When the account expires.
    pub expiry: Expiry,
    /// Stored fields that the strategy of the account does not use; never shown.
    pub unused_expiry: ExpiryFields,
    /// Bytes; `None`: unlimited.
    pub data_limit: Option<i64>,
    /// How often the used traffic is reset.
    pub reset_strategy: ResetStrategy,
    /// Bytes since the last reset.
    pub used_traffic: i64,
    /// Lifetime total, in bytes.
    pub lifetime_used_traffic: i64,
    /// The last time traffic was seen.
    pub online_at: Option<Moment>,
    /// The last reset.
    pub traffic_reset_at: Option<Moment>,
    /// An admin's remark, at most 500 characters.
    pub note: Option<String>,
    /// When the user was created.
    pub created_at: Moment,
    /// When the user was last edited.
    pub edit_at: Option<Moment>,
    /// When the key was last revoked.
    pub sub_revoked_at: Option<Moment>,
    /// When the subscription was last fetched.
    pub sub_updated_at: Option<Moment>,
    /// The User-Agent of that fetch.
    pub sub_last_user_agent: Option<String>,
    /// The services, by id.
    pub service_ids: Vec<ServiceId>,
}

/// The owner of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The admin.
    pub id: AdminId,
    /// The admin's name.
    pub username: String,
    /// The admin's prefix of subscription links; empty: the global prefix.
    pub subscription_url_prefix: String,
}

impl User {
    /// An enabled user with only an id, a name and a key: no owner, services, limit or expiry. All other constructors
    /// start from this one, so that the default of a new field is in one place.
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
            unused_expiry: ExpiryFields::default(),
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

    /// True when the fixed date has passed.
    pub fn is_expired(&self, now: Moment) -> bool {
        matches!(self.expiry, Expiry::FixedDate(date) if date < now)
    }

    /// Bytes until the limit, negative beyond it; `None`: unlimited.
    pub fn data_left(&self) -> Option<i64> {
        self.data_limit.map(|limit| limit.saturating_sub(self.used_traffic))
    }

    /// True when the data limit is used up.
    pub fn is_data_limit_reached(&self) -> bool {
        self.data_limit.is_some_and(|limit| self.used_traffic >= limit)
    }

    /// True when the account works: enabled, not expired and within its limit.
    pub fn is_active(&self, now: Moment) -> bool {
        self.enabled && !self.removed && !self.is_expired(now) && !self.is_data_limit_reached()
    }

    /// True while the account waits for its first use.
    pub const fn is_on_hold(&self) -> bool {
        matches!(self.expiry, Expiry::StartOnFirstUse { .. })
    }

    /// The key and services that nodes should have; `None` unless the user is activated. When a change alters this
    /// value, the user must be marked as changed.
    pub fn on_nodes(&self) -> Option<(&str, &[ServiceId])> {
        (self.activated && !self.removed).then_some((self.key.as_str(), self.service_ids.as_slice()))
    }

    /// Enables the account; false when it is enabled already.
    pub fn enable(&mut self, now: Moment) -> bool {
        let changed = !self.enabled;
        if changed {
            self.enabled = true;
            self.activated = self.is_active(now);
        }
        changed
    }

    /// Disables the account; false when it is disabled already.
    pub fn disable(&mut self) -> bool {
        let changed = self.enabled;
        self.enabled = false;
        self.activated = false;
        changed
    }

    /// Resets the used traffic, which may activate the account again.
    pub fn reset_traffic(&mut self, now: Moment) {
        let was_active = self.is_active(now);
        self.used_traffic = 0;
        self.traffic_reset_at = Some(now);
        if !was_active && self.is_active(now) {
            self.activated = true;
        }
    }

    /// Replaces the key, and with it all credentials.
    pub fn revoke(&mut self, new_key: String, now: Moment) {
        self.key = new_key;
        self.sub_revoked_at = Some(now);
    }

    /// Deletes the user: the name is free again, and the row stays for the owner's totals.
    pub fn remove(&mut self) {
        self.username = None;
        self.removed = true;
        self.activated = false;
    }

    /// The user's subscription link. `prefix` is used when the owner has none; each `*` in it becomes 16 random hex
    /// digits. `None` for removed users.
    pub fn subscription_url(&self, prefix: &str, chance: impl FnMut() -> u64) -> Option<String> {
        let mut url = self.link_prefix(prefix, chance);
        let _ = write!(url, "/sub/{}/{}", self.username.as_ref()?, self.key);
        Some(url)
    }

    /// The beginning of the user's links, without a final slash: that of the owner, or `prefix`.
    pub fn link_prefix(&self, prefix: &str, mut chance: impl FnMut() -> u64) -> String {
        let own = self.owner.as_ref().map(|owner| owner.subscription_url_prefix.as_str());
        let prefix = own.filter(|own| !own.is_empty()).unwrap_or(prefix).trim_end_matches('/');
        let mut parts = prefix.split('*');
        let mut url = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            // Writing to a String can't fail.
            let _ = write!(url, "{:016x}{part}", chance());
        }
        url
    }
}

impl ResetStrategy {
    /// All values, in the API's order.
    pub const ALL: [Self; 5] = [Self::NoReset, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The text form in the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoReset => "no_reset",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.word() == word)
    }
}

/// A user with a working account, for tests in `domain`.
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
    fn account_is_active_until_its_date_and_its_limit() {
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
    fn enabled_user_is_on_nodes_only_when_the_account_is_active() {
        let mut user = User { expiry: Expiry::FixedDate(NOW.plus(-1)), ..sample(NOW) };
        assert!(!user.enable(NOW), "enabled already");
        assert!(user.activated, "nothing changes");
        assert!(user.disable());
        assert!(!user.disable(), "disabled already");
        assert_eq!(user.on_nodes(), None);
        assert!(user.enable(NOW));
        assert_eq!(user.on_nodes(), None);
    }

    #[test]
    fn reset_activates_a_limited_user_and_not_an_expired_one() {
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
    fn revoking_changes_the_user_on_nodes() {
        let before = sample(NOW);
        let mut user = before.clone();
        user.revoke("00000000000000000000000000000002".to_owned(), NOW);
        assert_ne!(user.on_nodes(), before.on_nodes());
    }

    #[test]
    fn link_uses_the_owners_prefix_and_random_digits_per_star() {
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
