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
    pub fn from_request(
        strategy: ExpireStrategy,
        date: Option<Moment>,
        duration: Option<i64>,
        deadline: Option<Moment>,
    ) -> Result<Self, ExpiryError> {
        match strategy {
            ExpireStrategy::Never => Ok(Self::Never),
            ExpireStrategy::FixedDate => date.map(Self::FixedDate).ok_or(ExpiryError::NoDate),
            ExpireStrategy::StartOnFirstUse => match duration {
                None | Some(0) => Err(ExpiryError::NoDuration),
                Some(duration) => Ok(Self::StartOnFirstUse { duration, deadline }),
            },
        }
    }

    /// Reads the columns of a stored user. A row with an unknown strategy, or without the column that its strategy
    /// needs, was not written by this program: the account never expires.
    pub fn from_columns(strategy: &str, date: Option<Moment>, duration: Option<i64>, deadline: Option<Moment>) -> Self {
        match (ExpireStrategy::from_word(strategy), date, duration) {
            (Some(ExpireStrategy::FixedDate), Some(date), _) => Self::FixedDate(date),
            (Some(ExpireStrategy::StartOnFirstUse), _, Some(duration)) => Self::StartOnFirstUse { duration, deadline },
            _ => Self::Never,
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
        let read = |strategy| Expiry::from_request(strategy, date, duration, date);
        assert_eq!(read(ExpireStrategy::Never), Ok(Expiry::Never));
        assert_eq!(read(ExpireStrategy::FixedDate), Ok(Expiry::FixedDate(NOW)));
        assert_eq!(read(ExpireStrategy::StartOnFirstUse), Ok(Expiry::StartOnFirstUse { duration: -5, deadline: date }));
    }

    #[test]
    fn request_without_the_field_that_the_strategy_needs_is_refused() {
        let no_date = Expiry::from_request(ExpireStrategy::FixedDate, None, Some(5), None);
        assert_eq!(no_date, Err(ExpiryError::NoDate));
        for duration in [None, Some(0)] {
            let no_duration = Expiry::from_request(ExpireStrategy::StartOnFirstUse, None, duration, None);
            assert_eq!(no_duration, Err(ExpiryError::NoDuration));
        }
    }

    #[test]
    fn columns_that_do_not_agree_never_expire() {
        let on_hold = Expiry::StartOnFirstUse { duration: 0, deadline: None };
        assert_eq!(Expiry::from_columns("start_on_first_use", None, Some(0), None), on_hold);
        assert_eq!(Expiry::from_columns("fixed_date", Some(NOW), Some(0), None), Expiry::FixedDate(NOW));
        for strategy in ["fixed_date", "start_on_first_use", "never", "else"] {
            assert_eq!(Expiry::from_columns(strategy, None, None, Some(NOW)), Expiry::Never, "{strategy}");
        }
    }
}
