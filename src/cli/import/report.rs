//! The report of an import: row counts, sums of traffic, rows that were left out, changed or mean something else now, the
//! verification, and the way back. It has ids, reasons and no secrets.

use std::io;

use serde::Serialize;

use super::outcome::{Outcome, TrafficSums};
use super::verify::Check;
use super::way_back::WayBack;
use crate::cli::output;
use crate::cli::preflight::Problems;
use crate::cli::row_issues::{ListedIssues, RowIssues};

/// The report. The fields are the output of `--json` and `--report`.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    /// Version of this program.
    version: &'static str,
    /// End of the copy, in UTC.
    at: String,
    dry_run: bool,
    tables: Vec<Table>,
    sums: Vec<Sum>,
    #[serde(flatten)]
    listed: ListedIssues<'a>,
    /// None in a dry run.
    checks: Option<Vec<ListedCheck<'a>>>,
    /// Complaints of `serve` with the settings of this command; none after an import.
    problems: Option<&'a Problems>,
    /// None in a dry run.
    way_back: Option<WayBack>,
    #[serde(skip)]
    issues: &'a RowIssues,
}

#[derive(Serialize)]
struct Table {
    table: &'static str,
    rows: i64,
    copied: i64,
    left_out: i64,
}

/// A sum of all rows that were read. As text, because many programs read JSON numbers with 53 bits.
#[derive(Serialize)]
struct Sum {
    what: &'static str,
    sum: String,
}

#[derive(Serialize)]
struct ListedCheck<'a> {
    what: &'a str,
    expected: String,
    found: String,
    ok: bool,
}

/// The end of an import.
pub(super) enum End<'a> {
    /// A dry run, with what `serve` will complain of.
    DryRun(&'a Problems),
    /// A copy that was verified.
    Verified(&'a [Check], WayBack),
}

impl<'a> Report<'a> {
    pub(super) fn new(outcome: &'a Outcome, end: End<'a>, at: String) -> Self {
        let issues = &outcome.issues;
        let table = |it: &super::outcome::TableCounts| Table {
            table: it.table,
            rows: it.rows,
            copied: it.copied,
            left_out: issues.left_out_of(it.table),
        };
        let check = |it: &'a Check| ListedCheck {
            what: &it.what,
            expected: it.expected.to_string(),
            found: it.found.to_string(),
            ok: it.holds(),
        };
        let (checks, problems, way_back) = match end {
            End::DryRun(problems) => (None, Some(problems), None),
            End::Verified(checks, back) => (Some(checks.iter().map(check).collect()), None, Some(back)),
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            at,
            dry_run: checks.is_none(),
            tables: outcome.tables.iter().map(table).collect(),
            sums: sums(&outcome.sums),
            listed: issues.listed(),
            checks,
            problems,
            way_back,
            issues,
        }
    }

    /// Prints the report as tables.
    pub(super) fn print(&self) -> io::Result<()> {
        let mut table = output::table();
        table.set_header(["TABLE", "ROWS", if self.dry_run { "TO COPY" } else { "COPIED" }, "LEFT OUT"]);
        for it in &self.tables {
            table.add_row([it.table.to_owned(), it.rows.to_string(), it.copied.to_string(), it.left_out.to_string()]);
        }
        output::print(table)?;
        output::line("")?;
        let mut table = output::table();
        table.set_header(["SUM", "OLD"]);
        for Sum { what, sum } in &self.sums {
            table.add_row([what, sum.as_str()]);
        }
        output::print(table)?;
        self.issues.print()?;
        if let Some(checks) = &self.checks {
            output::line("")?;
            print_checks(checks)?;
        }
        if let Some(problems) = self.problems {
            output::line("")?;
            problems.print_warnings()?;
        }
        Ok(())
    }

    /// Prints how to go on, and how to go back.
    pub(super) fn print_end(&self) -> io::Result<()> {
        let Some(back) = &self.way_back else { return output::line("\ndry run: nothing was written") };
        output::line("\nimport complete; start the panel")?;
        output::line(format_args!("way back, without later changes: {}", back.without_changes))?;
        output::line(format_args!("way back, with them: {}", back.with_changes))?;
        output::line(format_args!("  {}", back.command))
    }
}

fn sums(sums: &TrafficSums) -> Vec<Sum> {
    [
        ("used traffic of users, bytes", sums.used),
        ("lifetime traffic of users, bytes", sums.lifetime),
        ("hourly traffic of users, bytes", sums.counted),
        ("hourly upload of nodes, bytes", sums.uplink),
        ("hourly download of nodes, bytes", sums.downlink),
    ]
    .map(|(what, sum)| Sum { what, sum: sum.to_string() })
    .into()
}

fn print_checks(checks: &[ListedCheck<'_>]) -> io::Result<()> {
    let mut table = output::table();
    table.set_header(["CHECK", "OLD", "NEW", ""]);
    for check in checks {
        table.add_row([check.what, &check.expected, &check.found, if check.ok { "✓" } else { "✗" }]);
    }
    output::print(table)
}
