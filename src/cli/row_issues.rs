//! What happened to rows that an import or an export did not copy as they were, by table and reason.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::output;

/// All issues of an import or an export.
#[derive(Debug, Default)]
pub(in crate::cli) struct RowIssues {
    left_out: ByReason,
    changed: ByReason,
    meaning: ByReason,
    advice: Vec<String>,
}

/// The keys of the rows, by table and reason.
type ByReason = BTreeMap<(&'static str, String), Vec<String>>;

/// Rows of one table with the same reason.
#[derive(Debug, Serialize)]
struct RowIssue<'a> {
    /// Name of the old table.
    table: &'a str,
    /// Why the rows were left out, or how they were changed.
    reason: &'a str,
    /// The key of each row.
    rows: &'a [String],
}

/// The issues in a report.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct ListedIssues<'a> {
    /// Rows that were not copied.
    left_out: Vec<RowIssue<'a>>,
    /// Rows with a value that was replaced.
    changed: Vec<RowIssue<'a>>,
    /// Rows that were copied as they are, and mean something else to the program that reads them now.
    meaning: Vec<RowIssue<'a>>,
    /// Advice for the operator.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    advice: &'a [String],
}

impl RowIssues {
    /// Adds a row that can't be copied.
    pub(in crate::cli) fn add_left_out(&mut self, table: &'static str, row: String, reason: impl Into<String>) {
        self.left_out.entry((table, reason.into())).or_default().push(row);
    }

    /// Adds a row that is copied with a change.
    pub(in crate::cli) fn add_changed(&mut self, table: &'static str, row: String, reason: impl Into<String>) {
        self.changed.entry((table, reason.into())).or_default().push(row);
    }

    /// Adds a row that is copied as it is and means something else now.
    pub(in crate::cli) fn add_meaning(&mut self, table: &'static str, row: String, reason: impl Into<String>) {
        self.meaning.entry((table, reason.into())).or_default().push(row);
    }

    /// Adds something that the operator may want to do afterwards.
    pub(in crate::cli) fn add_advice(&mut self, text: impl Into<String>) {
        self.advice.push(text.into());
    }

    /// Returns the number of rows of a table that were left out.
    pub(in crate::cli) fn left_out_of(&self, table: &str) -> i64 {
        let rows = self.left_out.iter().filter(|((of, _), _)| *of == table).map(|(_, rows)| rows.len());
        i64::try_from(rows.sum::<usize>()).unwrap_or(i64::MAX)
    }

    /// Returns the issues for a report.
    pub(in crate::cli) fn listed(&self) -> ListedIssues<'_> {
        let Self { left_out, changed, meaning, advice } = self;
        ListedIssues { left_out: listed(left_out), changed: listed(changed), meaning: listed(meaning), advice }
    }

    /// Prints each issue with the keys of all its rows.
    pub(in crate::cli) fn print(&self) -> io::Result<()> {
        print("left out", &self.left_out)?;
        print("changed", &self.changed)?;
        print("means something else now", &self.meaning)?;
        self.advice.iter().try_for_each(|advice| output::line(format_args!("\nadvice: {}", output::plain(advice))))
    }
}

fn listed(issues: &ByReason) -> Vec<RowIssue<'_>> {
    issues.iter().map(|((table, reason), rows)| RowIssue { table, reason, rows }).collect()
}

fn print(title: &str, issues: &ByReason) -> io::Result<()> {
    for ((table, reason), rows) in issues {
        let kind = if rows.len() == 1 { "row" } else { "rows" };
        output::line(format_args!("\n{title}: {} {kind} of {table}: {}", rows.len(), output::plain(reason)))?;
        output::line(format_args!("  {}", output::plain(&rows.join(" "))))?;
    }
    Ok(())
}
