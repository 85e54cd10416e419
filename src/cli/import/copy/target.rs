//! The target of a copy: a transaction, or nothing for a dry run.

use crate::store::import::tables;
use crate::store::import::tables::TableRow;
use crate::store::{StoreError, Tx};

/// The target of a copy.
pub(in crate::cli::import) enum Target<'a> {
    /// A dry run writes nothing.
    DryRun,
    /// An open transaction.
    Database(&'a mut Tx),
}

impl Target<'_> {
    /// Inserts the rows.
    pub(super) async fn insert<R: TableRow>(&mut self, rows: &[R]) -> Result<(), StoreError> {
        match self {
            Self::DryRun => Ok(()),
            Self::Database(tx) => tables::insert(tx, rows).await,
        }
    }
}
