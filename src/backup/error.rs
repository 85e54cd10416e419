//! Errors of back-ups, which name the part of the file or the table.

use std::io;

use crate::store::StoreError;
use crate::store::migrate::MigrationError;

/// Why a back-up could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database failed.
    #[error("{during}")]
    Store {
        /// The operation.
        during: String,
        /// The statement's error.
        #[source]
        source: StoreError,
    },
    /// The schema could not be created.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The data is restored, in the schema of that time.
    #[error("the back-up is restored, but its tables could not be brought up to date; run `sarban migrate`")]
    NotMigrated(#[source] MigrationError),
    /// A file could not be read or written.
    #[error("{during}")]
    Io {
        /// The operation.
        during: String,
        /// The error.
        #[source]
        source: io::Error,
    },
    /// A bucket of S3 could not be read or written.
    #[error("{during}")]
    S3 {
        /// The operation.
        during: String,
        /// The error.
        #[source]
        source: Box<object_store::Error>,
    },
    /// The file ends before the back-up does.
    #[error("the back-up is incomplete: it ends in {part}")]
    CutShort {
        /// The part in which it ends.
        part: String,
    },
    /// The file is not as it was written.
    #[error("the back-up is damaged in {part}: {reason}")]
    Damaged {
        /// The part with the damage.
        part: String,
        /// How that shows.
        reason: String,
    },
    /// The file is something else.
    #[error("this is not a back-up of Sarban: its first bytes are others")]
    Unknown,
    /// A newer program wrote the file.
    #[error("{0}; update Sarban on this host")]
    Newer(String),
    /// The file can't be opened with the keys at hand.
    #[error("{0}")]
    Key(String),
    /// A newer program waits to change the tables that were being read.
    #[error(
        "a newer version waits to change the database's tables, and the back-up gave way to it: repeat it once the newer \
         version runs"
    )]
    GaveWay,
    /// The database is in use.
    #[error(
        "the database to restore into is not empty: it has {0}; use a new database, and restore before the panel's first \
         start"
    )]
    NotEmpty(String),
    /// The database can't be backed up, or the back-up not be restored into this one.
    #[error("{0}")]
    Refused(String),
}

impl BackupError {
    /// Adds what was being done to an error of the store.
    pub(super) fn store(during: impl Into<String>) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { during: during.into(), source }
    }

    /// Adds what was being done to an error of a file.
    pub(super) fn io(during: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { during: during.into(), source }
    }

    pub(super) fn damaged(part: &str, reason: impl ToString) -> Self {
        Self::Damaged { part: part.to_owned(), reason: reason.to_string() }
    }
}
