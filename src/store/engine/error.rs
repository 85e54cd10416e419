//! Errors of statements, classified by what a caller can do.

use std::sync::Arc;

use super::retry::Transient;

/// A failed statement: its name, with the driver's error as the source. Cheap to clone, because several callers may
/// wait for one statement.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct StoreError {
    operation: &'static str,
    #[source]
    source: Arc<sqlx::Error>,
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
    /// The database can't be reached, or has no free connection.
    Unavailable,
    /// A value was refused: out of range, against a check, or of the wrong type.
    Data,
    /// Anything else: a bug.
    Other,
}

impl StoreError {
    pub(crate) fn new(operation: &'static str, source: sqlx::Error) -> Self {
        Self { operation, source: Arc::new(source) }
    }

    /// An operation that exceeded its caller's time-out.
    pub fn timed_out(operation: &'static str) -> Self {
        Self::new(operation, sqlx::Error::PoolTimedOut)
    }

    /// Returns the kind of failure.
    pub fn fault(&self) -> Fault {
        match &*self.source {
            sqlx::Error::Database(error) if error.is_unique_violation() => {
                Fault::Unique(error.constraint().unwrap_or_else(|| error.message()).to_owned())
            }
            sqlx::Error::Database(error) if error.is_foreign_key_violation() => Fault::Reference,
            sqlx::Error::Database(error) => match error.code().as_deref() {
                // PostgreSQL: serialization_failure, deadlock_detected, lock_not_available. SQLite: BUSY,
                // BUSY_RECOVERY, BUSY_SNAPSHOT.
                Some("40001" | "40P01" | "55P03" | "5" | "261" | "517") => Fault::Retry,
                // PostgreSQL class 57 (shutdown, crash, cannot_connect_now) and class 53 (too many connections).
                Some(code) if code.len() == 5 && (code.starts_with("57P") || code.starts_with("53")) => {
                    Fault::Unavailable
                }
                // PostgreSQL: class 22 (data exception) and the rest of class 23 (integrity). SQLite: MISMATCH, and
                // CONSTRAINT with its extended codes.
                Some(code) if code.len() == 5 && (code.starts_with("22") || code.starts_with("23")) => Fault::Data,
                Some(code)
                    if code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 19 | 20)) && code.len() < 5 =>
                {
                    Fault::Data
                }
                _ => Fault::Other,
            },
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Fault::Data,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                Fault::Unavailable
            }
            _ => Fault::Other,
        }
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
