//! Whole tables as bytes, the same for both engines: what `sarban backup` reads and `sarban restore` writes.

mod catalog;
mod load;
mod postgres_rows;
mod reading;
mod restored;
mod rows;
mod sqlite_rows;
mod tuples;

pub use catalog::{Column, DATA, JSON_COLUMNS, Kind, LEFT_OUT, SECRETS, Table, schema_version, tables};
pub use load::Loader;
pub use restored::{adjust, empty, last_ids, lock, set_last_ids};
pub use rows::rows;
pub use tuples::{Malformed, Tuple, Tuples};

use crate::store::engine::Statement;

/// Returns every statement of this folder.
pub(in crate::store) fn all_statements() -> impl Iterator<Item = &'static Statement> {
    [catalog::STATEMENTS, restored::STATEMENTS].into_iter().flatten()
}
