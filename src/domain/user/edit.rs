//! How an admin creates and edits a user.

use crate::domain::ids::{ServiceId, UserId};
use crate::domain::moment::Moment;

use super::expiry::{Expiry, ExpiryEdit};
use super::username::Username;
use super::{Owner, ResetStrategy, User};

/// The longest duration of an account on hold, in seconds: about 9,999 years.
pub const MAX_USAGE_DURATION: i64 = 315_328_464_000;
/// The most characters of a note.
pub const MAX_NOTE: usize = 500;

/// A user to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The name.
    pub username: Username,
    /// The subscription key; `None`: a random one.
    pub key: Option<String>,
    /// When the account expires.
    pub expiry: Expiry,
    /// Bytes; `None` or 0: unlimited.
    pub data_limit: Option<i64>,
    /// How often the used traffic is reset.
    pub reset_strategy: ResetStrategy,
    /// An admin's remark.
    pub note: Option<String>,
    /// The requested services; those that do not exist or may not be assigned are dropped.
    pub service_ids: Vec<ServiceId>,
}

/// Changes to a user; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEdit {
    /// When the account expires.
    pub expiry: ExpiryEdit,
    /// Bytes; 0: unlimited.
    pub data_limit: Option<i64>,
    /// How often the used traffic is reset.
    pub reset_strategy: Option<ResetStrategy>,
    /// An admin's remark; empty: none.
    pub note: Option<String>,
    /// The services, which exist and may be assigned; empty: none.
    pub service_ids: Option<Vec<ServiceId>>,
}

impl User {
    /// A new user who belongs to `owner`: enabled, activated and without an id, which the database assigns.
    pub fn new(new: NewUser, owner: Owner, now: Moment, random_key: impl FnOnce() -> String) -> Self {
        let key = new.key.unwrap_or_else(random_key);
        Self {
            owner: Some(owner),
            expiry: new.expiry,
            data_limit: new.data_limit.and_then(limited),
            reset_strategy: new.reset_strategy,
            note: new.note,
            service_ids: new.service_ids,
            ..Self::bare(UserId(0), new.username.as_str(), &key, now)
        }
    }

    /// Applies an edit. `activated` is computed again only when the account becomes active or inactive or when its
    /// services change.
    pub fn edit(&mut self, edit: UserEdit, now: Moment) {
        let (was_active, had) = (self.is_active(now), self.service_ids.clone());
        (self.expiry, self.unused_expiry) = edit.expiry.apply(self.expiry, self.unused_expiry);
        if let Some(limit) = edit.data_limit {
            self.data_limit = limited(limit);
        }
        if let Some(strategy) = edit.reset_strategy {
            self.reset_strategy = strategy;
        }
        if let Some(note) = edit.note {
            self.note = Some(note).filter(|note| !note.is_empty());
        }
        if let Some(services) = edit.service_ids {
            self.service_ids = services;
        }
        self.edit_at = Some(now);
        let is_active = self.is_active(now);
        if is_active != was_active || self.service_ids != had {
            self.activated = is_active;
        }
    }
}

/// The stored form of a data limit: 0 means unlimited.
const fn limited(bytes: i64) -> Option<i64> {
    if bytes > 0 { Some(bytes) } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    const NOW: Moment = Moment::from_micros(1_000_000_000_000_000);

    #[test]
    fn empty_edit_changes_only_edit_at() {
        let before = sample(NOW);
        let mut user = before.clone();
        user.edit(UserEdit::default(), NOW);
        assert_eq!(user, User { edit_at: Some(NOW), ..before });
    }

    #[test]
    fn zero_limit_is_unlimited_and_empty_note_is_none() {
        let mut user = User { data_limit: Some(5), note: Some("old".to_owned()), ..sample(NOW) };
        user.edit(UserEdit { data_limit: Some(0), note: Some(String::new()), ..UserEdit::default() }, NOW);
        assert_eq!((user.data_limit, user.note), (None, None));
    }

    #[test]
    fn expiry_edit_deactivates_and_activates() {
        let mut user = sample(NOW);
        user.edit(UserEdit { expiry: Expiry::FixedDate(NOW.plus(-1)).into(), ..UserEdit::default() }, NOW);
        assert!(!user.activated);
        user.edit(UserEdit { expiry: Expiry::FixedDate(NOW.plus(1)).into(), ..UserEdit::default() }, NOW);
        assert!(user.activated);
    }

    #[test]
    fn expired_user_stays_activated_until_services_change() {
        let mut user = User { expiry: Expiry::FixedDate(NOW.plus(-1)), ..sample(NOW) };
        user.edit(UserEdit { note: Some("still there".to_owned()), ..UserEdit::default() }, NOW);
        assert!(user.activated, "nodes have no notes");
        user.edit(UserEdit { service_ids: Some(vec![ServiceId(9)]), ..UserEdit::default() }, NOW);
        assert!(!user.activated, "new services need a current state");
    }
}
