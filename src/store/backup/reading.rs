//! Size of a run of rows, and the errors of reading one.

use super::catalog::Table;
use crate::store::engine::StoreError;

/// Bytes from which a run of tuples is complete. A back-up rests after each: longer ones would keep a processor from requests for
/// longer at once.
pub(super) const RUN: usize = 128 << 10;

/// Name of the operation in errors.
pub(super) const READING: &str = "reading a table";

pub(super) fn failed(source: sqlx::Error) -> StoreError {
    StoreError::new(READING, source)
}

/// The error of a value that is not what its column should have.
pub(super) fn wrong_value(table: &Table, column: &str, error: impl std::fmt::Display) -> StoreError {
    failed(sqlx::Error::Decode(
        format!("a row of {} has another kind of value in {column}: {error}", table.name).into(),
    ))
}
