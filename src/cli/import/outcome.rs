//! The result of copying: row counts, issues, and the data for the verification.

use super::sample::Sample;
use crate::cli::row_issues::RowIssues;

/// The result of copying all tables.
pub(super) struct Outcome {
    pub tables: Vec<TableCounts>,
    pub issues: RowIssues,
    pub sample: Sample,
    pub sums: TrafficSums,
    /// Rows of the nodes' hourly traffic in the new database.
    pub node_hours: i64,
}

/// Row counts of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableCounts {
    /// Name of the old table.
    pub table: &'static str,
    /// Rows in the old table.
    pub rows: i64,
    /// Rows that were copied.
    pub copied: i64,
}

/// Sums of the traffic that was read, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrafficSums {
    pub used: i128,
    pub lifetime: i128,
    pub counted: i128,
    pub uplink: i128,
    pub downlink: i128,
}

impl Outcome {
    /// An outcome before the first row.
    pub(super) fn new(sample: Sample) -> Self {
        Self { tables: Vec::new(), issues: RowIssues::default(), sample, sums: TrafficSums::default(), node_hours: 0 }
    }
}

impl TableCounts {
    /// Counts before the first row.
    pub(super) const fn new(table: &'static str) -> Self {
        Self { table, rows: 0, copied: 0 }
    }

    /// Adds a chunk of `rows` rows, of which `copied` were copied.
    pub(super) fn add(&mut self, rows: usize, copied: usize) {
        self.rows += i64::try_from(rows).unwrap_or(i64::MAX);
        self.copied += i64::try_from(copied).unwrap_or(i64::MAX);
    }
}
