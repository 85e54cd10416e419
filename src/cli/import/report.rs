//! The report of an import: row counts, rows that were left out or changed, verification.

use std::io;

use serde_json::{Value, json};

use super::issues::RowIssue;
use super::outcome::Outcome;
use super::verify::Check;
use crate::cli::output;

/// Prints the report as JSON. A dry run has no checks.
pub(super) fn json(outcome: &Outcome, checks: Option<&[Check]>) -> anyhow::Result<()> {
    let tables = outcome.tables.iter().map(|it| {
        json!({
            "table": it.table,
            "rows": it.rows,
            "copied": it.copied,
            "left_out": outcome.issues.left_out_of(it.table),
        })
    });
    let check = |it: &Check| {
        // As text, because many programs read JSON numbers with 53 bits.
        json!({"what": it.what, "expected": it.expected.to_string(), "found": it.found.to_string(), "ok": it.holds()})
    };
    output::json(&json!({
        "dry_run": checks.is_none(),
        "tables": tables.collect::<Vec<_>>(),
        "left_out": outcome.issues.left_out(),
        "changed": outcome.issues.changed(),
        "checks": checks.map(|checks| checks.iter().map(check).collect::<Vec<Value>>()),
    }))
}

/// Prints the report as tables.
pub(super) fn text(outcome: &Outcome, checks: Option<&[Check]>) -> io::Result<()> {
    let mut table = output::table();
    table.set_header(["TABLE", "ROWS", if checks.is_some() { "COPIED" } else { "TO COPY" }, "LEFT OUT"]);
    for it in &outcome.tables {
        let left_out = outcome.issues.left_out_of(it.table);
        table.add_row([it.table.to_owned(), it.rows.to_string(), it.copied.to_string(), left_out.to_string()]);
    }
    output::print(table)?;
    list("left out", &outcome.issues.left_out())?;
    list("changed", &outcome.issues.changed())?;
    let Some(checks) = checks else { return Ok(()) };
    output::line("")?;
    let mut table = output::table();
    table.set_header(["CHECK", "OLD", "NEW", ""]);
    for check in checks {
        let mark = if check.holds() { "✓" } else { "✗" };
        table.add_row([check.what.clone(), check.expected.to_string(), check.found.to_string(), mark.to_owned()]);
    }
    output::print(table)
}

/// Prints each issue with the keys of all its rows.
fn list(title: &str, issues: &[RowIssue<'_>]) -> io::Result<()> {
    for RowIssue { table, reason, rows } in issues {
        let kind = if rows.len() == 1 { "row" } else { "rows" };
        output::line(format_args!("\n{title}: {} {kind} of {table}: {reason}", rows.len()))?;
        output::line(format_args!("  {}", output::plain(&rows.join(" "))))?;
    }
    Ok(())
}
