//! How an admin creates and edits a user.

use crate::domain::ids::{ServiceId, UserId};
use crate::domain::moment::Moment;

use super::expiry::Expiry;
use super::username::Username;
use super::{Owner, ResetStrategy, User};

/// The most seconds that an account on hold may be given: 9,999 years' worth.
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
    /// When the account ends.
    pub expiry: Expiry,
    /// Bytes; `None` or 0: unlimited.
    pub data_limit: Option<i64>,
    /// How often used traffic goes back to zero.
    pub reset_strategy: ResetStrategy,
    /// An admin's remark.
    pub note: Option<String>,
    /// The services asked for; those that do not exist or may not be given are dropped.
    pub service_ids: Vec<ServiceId>,
}

/// A change of a user: `None` leaves things as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserEdit {
    /// When the account ends.
    pub expiry: Option<Expiry>,
    /// Bytes; 0: unlimited.
    pub data_limit: Option<i64>,
    /// How often used traffic goes back to zero.
    pub reset_strategy: Option<ResetStrategy>,
    /// An admin's remark; empty: none.
    pub note: Option<String>,
    /// The services, which exist and may be given; empty: none.
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

    /// Changes what `edit` names. The nodes are told anew when the account begins or ceases to work, or when its
    /// services change; otherwise they keep what they were told.
    pub fn edit(&mut self, edit: UserEdit, now: Moment) {
        let (was_active, had) = (self.is_active(now), self.service_ids.clone());
        if let Some(expiry) = edit.expiry {
            self.expiry = expiry;
            self.usage_duration = None;
        }
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

/// A data limit as it is stored: 0 is none.
const fn limited(bytes: i64) -> Option<i64> {
    if bytes > 0 { Some(bytes) } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    const NOW: Moment = Moment::from_micros(1_000_000_000_000_000);

    #[test]
    fn an_empty_edit_changes_only_the_time_of_the_edit() {
        let before = sample(NOW);
        let mut user = before.clone();
        user.edit(UserEdit::default(), NOW);
        assert_eq!(user, User { edit_at: Some(NOW), ..before });
    }

    #[test]
    fn zero_is_no_limit_and_an_empty_note_is_none() {
        let mut user = User { data_limit: Some(5), note: Some("old".to_owned()), ..sample(NOW) };
        user.edit(UserEdit { data_limit: Some(0), note: Some(String::new()), ..UserEdit::default() }, NOW);
        assert_eq!((user.data_limit, user.note), (None, None));
    }

    #[test]
    fn an_account_that_ends_is_taken_from_the_nodes_and_one_that_lives_again_comes_back() {
        let mut user = sample(NOW);
        user.edit(UserEdit { expiry: Some(Expiry::FixedDate(NOW.plus(-1))), ..UserEdit::default() }, NOW);
        assert!(!user.activated);
        user.edit(UserEdit { expiry: Some(Expiry::FixedDate(NOW.plus(1))), ..UserEdit::default() }, NOW);
        assert!(user.activated);
    }

    #[test]
    fn what_the_nodes_were_told_of_an_expired_user_stays_until_it_is_reviewed() {
        let mut user = User { expiry: Expiry::FixedDate(NOW.plus(-1)), ..sample(NOW) };
        user.edit(UserEdit { note: Some("still there".to_owned()), ..UserEdit::default() }, NOW);
        assert!(user.activated, "a note is nothing to the nodes");
        user.edit(UserEdit { service_ids: Some(vec![ServiceId(9)]), ..UserEdit::default() }, NOW);
        assert!(!user.activated, "other services are, and then the truth is told");
    }
}
