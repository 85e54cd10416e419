//! When a user's account expires, and how a request's fields or a row's columns become that.

use crate::domain::moment::{Moment, SECOND};

/// When an account expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// At a moment, which may lie in the past.
    FixedDate(Moment),
    /// On hold: the duration starts with the first use, or at the deadline.
    StartOnFirstUse {
        /// Seconds; may be negative.
        duration: i64,
        /// The latest start.
        deadline: Option<Moment>,
    },
}

/// The date, duration and deadline of an account or a request; an account may store some that its strategy does not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpiryFields {
    /// The date of `fixed_date`.
    pub date: Option<Moment>,
    /// The duration of `start_on_first_use`, in seconds.
    pub duration: Option<i64>,
    /// The latest start of `start_on_first_use`.
    pub deadline: Option<Moment>,
}

/// Changes to the expiry of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpiryEdit {
    strategy: Option<ExpireStrategy>,
    fields: ExpiryFields,
}

/// The kind of an [`Expiry`], without its date or duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpireStrategy {
    /// Never.
    Never,
    /// At a date.
    FixedDate,
    /// On hold until the first use.
    StartOnFirstUse,
}

/// A field that the strategy requires is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// A fixed date without a date.
    #[error("expire_strategy fixed_date needs an expire_date")]
    NoDate,
    /// On hold without a duration, or with one of 0 seconds.
    #[error("expire_strategy start_on_first_use needs a usage_duration other than 0")]
    NoDuration,
}

impl Expiry {
    /// Combines the fields of a request. Fields that the strategy does not use are dropped.
    pub fn from_request(strategy: ExpireStrategy, fields: ExpiryFields) -> Result<Self, ExpiryError> {
        match strategy {
            ExpireStrategy::Never => Ok(Self::Never),
            ExpireStrategy::FixedDate => fields.date.map(Self::FixedDate).ok_or(ExpiryError::NoDate),
            ExpireStrategy::StartOnFirstUse => match fields.duration {
                None | Some(0) => Err(ExpiryError::NoDuration),
                Some(duration) => Ok(Self::StartOnFirstUse { duration, deadline: fields.deadline }),
            },
        }
    }

    /// Reads the columns of a stored user: its expiry, and the fields that its strategy does not use. A row with an
    /// unknown strategy, or without the column that its strategy needs, was not written by this program: the account
    /// never expires. A date is dropped where it is not used: no edit can use it again, and lists of users rely on it.
    pub fn from_columns(strategy: &str, fields: ExpiryFields) -> (Self, ExpiryFields) {
        Self::stored(ExpireStrategy::from_word(strategy).unwrap_or(ExpireStrategy::Never), fields)
    }

    fn stored(strategy: ExpireStrategy, fields: ExpiryFields) -> (Self, ExpiryFields) {
        let unused = ExpiryFields { date: None, ..fields };
        match (strategy, fields.date, fields.duration) {
            (ExpireStrategy::FixedDate, Some(date), _) => (Self::FixedDate(date), unused),
            (ExpireStrategy::StartOnFirstUse, _, Some(duration)) => {
                (Self::StartOnFirstUse { duration, deadline: fields.deadline }, ExpiryFields::default())
            }
            _ => (Self::Never, unused),
        }
    }

    /// The fields that this expiry uses.
    pub const fn fields(self) -> ExpiryFields {
        match self {
            Self::Never => ExpiryFields { date: None, duration: None, deadline: None },
            Self::FixedDate(date) => ExpiryFields { date: Some(date), duration: None, deadline: None },
            Self::StartOnFirstUse { duration, deadline } => {
                ExpiryFields { date: None, duration: Some(duration), deadline }
            }
        }
    }

    /// The kind of this expiry.
    pub const fn strategy(self) -> ExpireStrategy {
        match self {
            Self::Never => ExpireStrategy::Never,
            Self::FixedDate(_) => ExpireStrategy::FixedDate,
            Self::StartOnFirstUse { .. } => ExpireStrategy::StartOnFirstUse,
        }
    }

    /// Starts an account that is on hold at `now`; any other expiry is returned unchanged.
    #[must_use]
    pub const fn started(self, now: Moment) -> Self {
        match self {
            Self::StartOnFirstUse { duration, .. } => Self::FixedDate(now.plus(duration.saturating_mul(SECOND))),
            other => other,
        }
    }
}

impl ExpiryFields {
    /// These fields, and those of `other` where these have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            date: self.date.or(other.date),
            duration: self.duration.or(other.duration),
            deadline: self.deadline.or(other.deadline),
        }
    }
}

impl ExpiryEdit {
    /// Reads a request. `None` leaves the strategy, or a field, unchanged. A strategy needs its date or duration in the
    /// same request.
    pub fn from_request(strategy: Option<ExpireStrategy>, fields: ExpiryFields) -> Result<Self, ExpiryError> {
        let fields = match strategy {
            Some(strategy) => Expiry::from_request(strategy, fields)?.fields(),
            None => fields,
        };
        Ok(Self { strategy, fields })
    }

    /// Applies the edit to an account with these `unused` fields. Returns the new expiry and unused fields. A strategy
    /// clears the fields that it does not use; without a strategy, a duration or deadline is stored even if it is not used.
    pub fn apply(self, expiry: Expiry, unused: ExpiryFields) -> (Expiry, ExpiryFields) {
        let stored = expiry.fields().or(unused);
        let (strategy, stored) = match self.strategy {
            None => (expiry.strategy(), stored),
            Some(ExpireStrategy::StartOnFirstUse) => {
                let deadline = ExpiryFields { deadline: stored.deadline, ..ExpiryFields::default() };
                (ExpireStrategy::StartOnFirstUse, deadline)
            }
            Some(strategy) => (strategy, ExpiryFields::default()),
        };
        Expiry::stored(strategy, self.fields.or(stored))
    }
}

impl From<Expiry> for ExpiryEdit {
    fn from(expiry: Expiry) -> Self {
        Self { strategy: Some(expiry.strategy()), fields: expiry.fields() }
    }
}

impl ExpireStrategy {
    /// All values, in the API's order.
    pub const ALL: [Self; 3] = [Self::Never, Self::FixedDate, Self::StartOnFirstUse];

    /// The text form in the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::FixedDate => "fixed_date",
            Self::StartOnFirstUse => "start_on_first_use",
        }
    }

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_micros(1_000_000_000_000_000);

    #[test]
    fn request_fields_that_the_strategy_does_not_use_are_dropped() {
        let (date, duration) = (Some(NOW), Some(-5));
        let read = |strategy| Expiry::from_request(strategy, ExpiryFields { date, duration, deadline: date });
        assert_eq!(read(ExpireStrategy::Never), Ok(Expiry::Never));
        assert_eq!(read(ExpireStrategy::FixedDate), Ok(Expiry::FixedDate(NOW)));
        assert_eq!(read(ExpireStrategy::StartOnFirstUse), Ok(Expiry::StartOnFirstUse { duration: -5, deadline: date }));
    }

    #[test]
    fn request_without_the_field_that_the_strategy_needs_is_refused() {
        let no_date = ExpiryFields { duration: Some(5), ..ExpiryFields::default() };
        assert_eq!(Expiry::from_request(ExpireStrategy::FixedDate, no_date), Err(ExpiryError::NoDate));
        for duration in [None, Some(0)] {
            let fields = ExpiryFields { duration, ..ExpiryFields::default() };
            let no_duration = ExpiryEdit::from_request(Some(ExpireStrategy::StartOnFirstUse), fields);
            assert_eq!(no_duration, Err(ExpiryError::NoDuration));
        }
    }

    #[test]
    fn columns_that_do_not_agree_never_expire() {
        let deadline = ExpiryFields { deadline: Some(NOW), ..ExpiryFields::default() };
        for strategy in ["fixed_date", "start_on_first_use", "never", "else"] {
            assert_eq!(Expiry::from_columns(strategy, deadline), (Expiry::Never, deadline), "{strategy}");
        }
    }

    const NONE: ExpiryFields = ExpiryFields { date: None, duration: None, deadline: None };

    /// Bits 0 to 2: date, duration and deadline.
    fn some_fields(bits: u32, base: i64) -> ExpiryFields {
        let at = |bit: u32| (bits & 1 << bit != 0).then_some(NOW.plus(base + i64::from(bit)));
        ExpiryFields { date: at(0), duration: (bits & 2 != 0).then_some(base), deadline: at(2) }
    }

    #[test]
    fn stored_fields_survive_reading_and_writing_with_every_strategy() {
        for strategy in ExpireStrategy::ALL {
            for fields in (0..8).map(|bits| some_fields(bits, 7)) {
                let (expiry, unused) = Expiry::from_columns(strategy.word(), fields);
                let date = fields.date.filter(|_| strategy == ExpireStrategy::FixedDate);
                assert_eq!(expiry.fields().or(unused), ExpiryFields { date, ..fields }, "{strategy:?} {fields:?}");
            }
        }
    }

    #[test]
    fn every_edit_of_every_account_stores_what_was_given() {
        for (from, given, sent, stored) in every_edit() {
            let (expiry, unused) = Expiry::from_columns(from.word(), stored);
            let case = format!("{from:?} {stored:?}, edit {given:?} {sent:?}");
            let Ok(edit) = ExpiryEdit::from_request(given, sent) else {
                let complete = match given {
                    Some(ExpireStrategy::FixedDate) => sent.date.is_some(),
                    Some(ExpireStrategy::StartOnFirstUse) => sent.duration.is_some(),
                    _ => true,
                };
                assert!(!complete, "{case}");
                continue;
            };
            let (after, rest) = edit.apply(expiry, unused);
            let expected = match given {
                // Nothing is cleared, and what was sent is stored.
                None => {
                    let uses_date = expiry.strategy() == ExpireStrategy::FixedDate;
                    let date = sent.date.or(stored.date).filter(|_| uses_date);
                    ExpiryFields { date, ..sent.or(stored) }
                }
                Some(ExpireStrategy::Never) => NONE,
                Some(ExpireStrategy::FixedDate) => ExpiryFields { date: sent.date, ..NONE },
                // The deadline stays where none was sent.
                Some(ExpireStrategy::StartOnFirstUse) => {
                    ExpiryFields { duration: sent.duration, deadline: sent.deadline.or(stored.deadline), ..NONE }
                }
            };
            assert_eq!(after.fields().or(rest), expected, "{case}");
            assert_eq!(after.strategy(), given.unwrap_or_else(|| expiry.strategy()), "{case}");
        }
    }

    /// Each strategy and stored fields of an account, with each strategy and fields of a request.
    fn every_edit() -> impl Iterator<Item = (ExpireStrategy, Option<ExpireStrategy>, ExpiryFields, ExpiryFields)> {
        let given = [None].into_iter().chain(ExpireStrategy::ALL.map(Some));
        given.flat_map(|given| {
            ExpireStrategy::ALL.into_iter().flat_map(move |from| {
                (0..64).map(move |bits| (from, given, some_fields(bits & 7, 100), some_fields(bits >> 3, 200)))
            })
        })
    }
}
