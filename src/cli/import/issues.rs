//! Rows that were left out or changed, by table and reason.

use std::collections::BTreeMap;

use serde::Serialize;

/// All issues of an import.
#[derive(Debug, Default)]
pub(super) struct RowIssues {
    left_out: ByReason,
    changed: ByReason,
}

/// The keys of the rows, by table and reason.
type ByReason = BTreeMap<(&'static str, String), Vec<String>>;

/// Rows of one table with the same reason.
#[derive(Debug, Serialize)]
pub(super) struct RowIssue<'a> {
    /// Name of the old table.
    pub table: &'a str,
    /// Why the rows were left out, or how they were changed.
    pub reason: &'a str,
    /// The key of each row.
    pub rows: &'a [String],
}

impl RowIssues {
    /// Adds a row that can't be copied.
    pub(super) fn add_left_out(&mut self, table: &'static str, row: String, reason: impl Into<String>) {
        self.left_out.entry((table, reason.into())).or_default().push(row);
    }

    /// Adds a row that is copied with a change.
    pub(super) fn add_changed(&mut self, table: &'static str, row: String, reason: impl Into<String>) {
        self.changed.entry((table, reason.into())).or_default().push(row);
    }

    /// Returns the number of rows of a table that were left out.
    pub(super) fn left_out_of(&self, table: &str) -> i64 {
        let rows = self.left_out.iter().filter(|((of, _), _)| *of == table).map(|(_, rows)| rows.len());
        i64::try_from(rows.sum::<usize>()).unwrap_or(i64::MAX)
    }

    /// Returns all rows that were left out.
    pub(super) fn left_out(&self) -> Vec<RowIssue<'_>> {
        listed(&self.left_out)
    }

    /// Returns all rows that were changed.
    pub(super) fn changed(&self) -> Vec<RowIssue<'_>> {
        listed(&self.changed)
    }
}

fn listed(issues: &ByReason) -> Vec<RowIssue<'_>> {
    issues.iter().map(|((table, reason), rows)| RowIssue { table, reason, rows }).collect()
}
