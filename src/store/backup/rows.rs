//! Reads a table as runs of tuples.

use futures_util::stream::{self, BoxStream, StreamExt};

use super::catalog::Table;
use super::reading::failed;
use super::{postgres_rows, sqlite_rows};
use crate::store::engine::{StoreError, Tx};

/// Streams the rows of a table in runs of about 128 KiB.
pub fn rows<'a>(tx: &'a mut Tx, table: &'a Table) -> BoxStream<'a, Result<Vec<u8>, StoreError>> {
    match tx {
        Tx::Pg(tx) => match tx.connection() {
            Ok(connection) => postgres_rows::rows(connection, table),
            Err(error) => stream::iter([Err(failed(error))]).boxed(),
        },
        Tx::Lite { tx, .. } => sqlite_rows::rows(tx, table),
    }
}
