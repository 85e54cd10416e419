//! Errors of statements, classified by what a caller can do.

use std::sync::Arc;

use sqlx::postgres::PgDatabaseError;

use super::condition::Condition;
use super::error_codes::{self, Class};
use super::retry::Transient;

/// A failed statement: its name, with the driver's error as the source. Cheap to clone, because several callers may
/// wait for one statement.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct StoreError {
    operation: &'static str,
    #[source]
    source: Arc<sqlx::Error>,
    outcome_unknown: bool,
}

/// Kinds of failure, by what a caller can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A unique constraint was violated. PostgreSQL reports the constraint's name, SQLite the columns: compare with
    /// `contains`.
    Unique(String),
    /// A foreign key was violated: the row is still referenced, or it refers to a missing row.
    Reference,
    /// The transaction conflicted with another one and can be repeated.
    Retry,
    /// The database, or the way to it, is in a state in which it can't serve the statement.
    Unavailable(Condition),
    /// A value was refused: out of range, against a check, or of the wrong type.
    Data,
    /// Anything else: a bug.
    Other,
}

impl StoreError {
    pub(crate) fn new(operation: &'static str, source: sqlx::Error) -> Self {
        Self { operation, source: Arc::new(source), outcome_unknown: false }
    }

    /// A failed COMMIT. Unless the database itself refused it, the transaction may have been committed.
    pub(in crate::store) fn of_commit(source: sqlx::Error) -> Self {
        let outcome_unknown = match &source {
            sqlx::Error::Database(error) => {
                // A crash, a broken connection of a pooler, and "statement completion unknown".
                let state = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::code);
                state.is_some_and(|state| state == "57P02" || state == "40003" || state.starts_with("08"))
            }
            _ => true,
        };
        Self { outcome_unknown, ..Self::new("COMMIT", source) }
    }

    /// An operation that exceeded its caller's time limit.
    pub fn timed_out(operation: &'static str) -> Self {
        let reason = "no answer within the time limit";
        Self::new(operation, sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, reason)))
    }

    /// True if a commit was sent and not confirmed: the change may have been made or not.
    pub const fn outcome_is_unknown(&self) -> bool {
        self.outcome_unknown
    }

    /// Returns the kind of failure.
    pub fn fault(&self) -> Fault {
        match &*self.source {
            sqlx::Error::Database(error) if error.is_unique_violation() => {
                Fault::Unique(error.constraint().unwrap_or_else(|| error.message()).to_owned())
            }
            sqlx::Error::Database(error) if error.is_foreign_key_violation() => Fault::Reference,
            _ => match self.class() {
                Class::Conflict => Fault::Retry,
                Class::Data => Fault::Data,
                Class::Unavailable(condition) => Fault::Unavailable(condition),
                Class::Bug => Fault::Other,
            },
        }
    }

    /// Returns the state of the database that made the statement fail, if that is the reason.
    pub fn condition(&self) -> Option<Condition> {
        match self.fault() {
            Fault::Unavailable(condition) => Some(condition),
            _ => None,
        }
    }

    /// Returns a short reason, the same for all errors of its kind: for a log that reports each kind once.
    pub fn reason(&self) -> &'static str {
        match self.fault() {
            Fault::Unavailable(condition) => condition.reason(),
            Fault::Retry => "another transaction is in the way",
            _ => "the database refuses the statement",
        }
    }

    fn class(&self) -> Class {
        let sqlx::Error::Database(error) = &*self.source else { return error_codes::driver(&self.source) };
        if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
            return error_codes::postgres(error.code());
        }
        if self.is_missing_table() {
            return Class::Unavailable(Condition::Missing);
        }
        let code = error.code().and_then(|code| code.parse().ok());
        code.map_or(Class::Bug, error_codes::sqlite)
    }

    /// True if the statement names a table that the database does not have.
    pub(in crate::store) fn is_missing_table(&self) -> bool {
        let sqlx::Error::Database(error) = &*self.source else { return false };
        // The codes of PostgreSQL and MySQL. SQLite has one code for all errors in a statement.
        matches!(error.code().as_deref(), Some("42P01" | "42S02")) || error.message().starts_with("no such table")
    }
}

impl Transient for StoreError {
    fn is_transient(&self) -> bool {
        self.fault() == Fault::Retry
    }
}
