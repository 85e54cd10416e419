//! What an admin writes about a user: when the account ends, a new user, and a change of one.

use super::ids::ServiceId;
use super::moment::Moment;
use super::user::{Expiry, ResetStrategy, User};
use super::username::Username;

/// The most seconds that an account on hold may be given: 9,999 years' worth.
pub const MAX_USAGE_DURATION: i64 = 315_328_464_000;
/// The most characters of a note.
pub const MAX_NOTE: usize = 500;

/// The kind of an account's end, before its date or duration is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireStrategy {
    /// Never.
    Never,
    /// At a date.
    FixedDate,
    /// On hold until the first use.
    StartOnFirstUse,
}

impl ExpireStrategy {
    /// All, in the API's order.
    pub const ALL: [Self; 3] = [Self::Never, Self::FixedDate, Self::StartOnFirstUse];

    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::FixedDate => "fixed_date",
            Self::StartOnFirstUse => "start_on_first_use",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.word() == word)
    }
}

/// Fields that do not agree about the account's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// A fixed date without a date.
    #[error("expire_strategy fixed_date needs an expire_date")]
    NoDate,
    /// On hold for no time.
    #[error("expire_strategy start_on_first_use needs a usage_duration other than 0")]
    NoDuration,
}

/// Puts the fields of a request together. Those that the strategy does not need are dropped.
pub fn expiry(
    strategy: ExpireStrategy,
    date: Option<Moment>,
    duration: Option<i64>,
    deadline: Option<Moment>,
) -> Result<Expiry, ExpiryError> {
    match strategy {
        ExpireStrategy::Never => Ok(Expiry::Never),
        ExpireStrategy::FixedDate => date.map(Expiry::FixedDate).ok_or(ExpiryError::NoDate),
        ExpireStrategy::StartOnFirstUse => match duration {
            None | Some(0) => Err(ExpiryError::NoDuration),
            Some(duration) => Ok(Expiry::StartOnFirstUse { duration, deadline }),
        },
    }
}

/// A user to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The name.
    pub username: Username,
    /// `None`: a random one.
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
pub const fn limited(bytes: i64) -> Option<i64> {
    if bytes > 0 { Some(bytes) } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::user::sample;
    use super::*;

    const NOW: Moment = Moment::from_micros(1_000_000_000_000_000);

    #[test]
    fn a_strategy_takes_its_own_fields_and_drops_the_others() {
        let (date, duration) = (Some(NOW), Some(-5));
        assert_eq!(expiry(ExpireStrategy::Never, date, duration, date), Ok(Expiry::Never));
        assert_eq!(expiry(ExpireStrategy::FixedDate, date, duration, date), Ok(Expiry::FixedDate(NOW)));
        assert_eq!(
            expiry(ExpireStrategy::StartOnFirstUse, date, duration, date),
            Ok(Expiry::StartOnFirstUse { duration: -5, deadline: date })
        );
    }

    #[test]
    fn a_strategy_without_what_it_needs_is_refused() {
        assert_eq!(expiry(ExpireStrategy::FixedDate, None, Some(5), None), Err(ExpiryError::NoDate));
        for duration in [None, Some(0)] {
            assert_eq!(expiry(ExpireStrategy::StartOnFirstUse, None, duration, None), Err(ExpiryError::NoDuration));
        }
    }

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
