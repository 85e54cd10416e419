//! What did not come over as it was: rows that were left out, and rows that came changed, each with the reason.

use std::collections::BTreeMap;

use serde::Serialize;

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    left_out: ByReason,
    changed: ByReason,
}

/// The keys of rows, by their table and what befell them.
type ByReason = BTreeMap<(&'static str, String), Vec<String>>;

/// Rows of one table with the same reason.
#[derive(Debug, Serialize)]
pub(super) struct Finding<'a> {
    /// The old table.
    pub table: &'a str,
    /// Why, or what became of them.
    pub reason: &'a str,
    /// Each row by its key.
    pub rows: &'a [String],
}

impl Findings {
    /// A row can't be copied.
    pub(super) fn left_out(&mut self, table: &'static str, row: String, reason: impl Into<String>) {
        self.left_out.entry((table, reason.into())).or_default().push(row);
    }

    /// A row is copied, and something in it is not as it was.
    pub(super) fn changed(&mut self, table: &'static str, row: String, reason: impl Into<String>) {
        self.changed.entry((table, reason.into())).or_default().push(row);
    }

    /// How many rows of a table were left out.
    pub(super) fn left_out_of(&self, table: &str) -> i64 {
        let rows = self.left_out.iter().filter(|((of, _), _)| *of == table).map(|(_, rows)| rows.len());
        i64::try_from(rows.sum::<usize>()).unwrap_or(i64::MAX)
    }

    /// All rows that were left out.
    pub(super) fn all_left_out(&self) -> Vec<Finding<'_>> {
        listed(&self.left_out)
    }

    /// All rows that came changed.
    pub(super) fn all_changed(&self) -> Vec<Finding<'_>> {
        listed(&self.changed)
    }
}

fn listed(found: &ByReason) -> Vec<Finding<'_>> {
    found.iter().map(|((table, reason), rows)| Finding { table, reason, rows }).collect()
}
