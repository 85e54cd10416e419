//! What can go wrong with a statement, sorted by what a caller can do about it.

use std::sync::Arc;

use super::retry::Transient;

/// A statement that failed: its name, and the driver's own error as the source. Cheap to clone: many may have asked.
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
    /// A unique rule of the schema. PostgreSQL names the constraint, SQLite the columns: compare with `contains`.
    Unique(String),
    /// A row that something else refers to, or a reference to a row that is gone.
    Reference,
    /// Two transactions stood in each other's way; the same again will do.
    Retry,
    /// The database can't be reached or is out of connections.
    Unavailable,
    /// The values can't be: out of range, against a check, or of another type than they should be.
    Data,
    /// Anything else: a mistake of ours.
    Other,
}

impl StoreError {
    pub(crate) fn new(operation: &'static str, source: sqlx::Error) -> Self {
        Self { operation, source: Arc::new(source) }
    }

    /// Something that did not come back within the time that its caller had.
    pub fn timed_out(operation: &'static str) -> Self {
        Self::new(operation, sqlx::Error::PoolTimedOut)
    }

    /// What a caller can do about it.
    pub fn fault(&self) -> Fault {
        match &*self.source {
            sqlx::Error::Database(error) if error.is_unique_violation() => {
                Fault::Unique(error.constraint().unwrap_or_else(|| error.message()).to_owned())
            }
            sqlx::Error::Database(error) if error.is_foreign_key_violation() => Fault::Reference,
            sqlx::Error::Database(error) => match error.code().as_deref() {
                // PostgreSQL: serialization_failure, deadlock_detected, lock_not_available. SQLite: BUSY and its kin.
                Some("40001" | "40P01" | "55P03" | "5" | "261" | "517") => Fault::Retry,
                // PostgreSQL class 57 (shutdown, crash, cannot_connect_now) and class 53 (too many connections).
                Some(code) if code.len() == 5 && (code.starts_with("57P") || code.starts_with("53")) => {
                    Fault::Unavailable
                }
                // PostgreSQL class 22 (data exception) and 23 (what of integrity is not above). SQLite: CONSTRAINT with
                // its kin, and MISMATCH.
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

    /// True when the statement names a table that the database does not have.
    pub(in crate::store) fn is_missing_table(&self) -> bool {
        let sqlx::Error::Database(error) = &*self.source else { return false };
        // PostgreSQL's code, MySQL's; SQLite has one for all mistakes in a statement.
        matches!(error.code().as_deref(), Some("42P01" | "42S02")) || error.message().starts_with("no such table")
    }
}

impl Transient for StoreError {
    fn is_transient(&self) -> bool {
        self.fault() == Fault::Retry
    }
}
