//! The ids of copied rows, to check the references of other rows.

use std::collections::HashSet;

use crate::cli::import::rows::reader::RowReader;

/// The ids of the rows that were copied.
#[derive(Default)]
pub(super) struct KnownIds {
    pub admins: HashSet<i64>,
    pub services: HashSet<i64>,
    pub users: HashSet<i64>,
    pub nodes: HashSet<i64>,
    /// Node and name.
    pub backends: HashSet<(i64, String)>,
    pub inbounds: HashSet<i64>,
    pub hosts: HashSet<i64>,
}

/// Reads two references. The row is left out if one of them refers to a row that was not copied.
pub(super) fn reference_pair(
    row: &mut RowReader<'_>,
    first: (&str, &HashSet<i64>),
    second: (&str, &HashSet<i64>),
) -> Option<(i64, i64)> {
    let mut reference = |(column, known): (&str, &HashSet<i64>)| match row.integer(column) {
        Some(id) if known.contains(&id) => Some(id),
        _ => row.leave_out(format!("{column} refers to a row that doesn't exist")),
    };
    Some((reference(first)?, reference(second)?))
}
