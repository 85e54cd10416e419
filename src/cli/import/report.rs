//! What the importer tells: tables, rows that did not come over as they were, and the comparison of both databases.

use std::io;

use serde_json::{Value, json};

use super::copy::Outcome;
use super::findings::Finding;
use super::verify::Check;
use crate::cli::output;

/// For another program. `checks`: nothing after a dry run.
pub(super) fn json(outcome: &Outcome, checks: Option<&[Check]>) -> anyhow::Result<()> {
    let tables = outcome.tables.iter().map(|it| {
        json!({
            "table": it.table,
            "rows": it.old,
            "copied": it.copied,
            "left_out": outcome.findings.left_out_of(it.table),
        })
    });
    let check = |it: &Check| {
        // JSON numbers of other programs end at 53 bits.
        json!({"what": it.what, "expected": it.expected.to_string(), "found": it.found.to_string(), "ok": it.holds()})
    };
    output::json(&json!({
        "dry_run": checks.is_none(),
        "tables": tables.collect::<Vec<_>>(),
        "left_out": outcome.findings.all_left_out(),
        "changed": outcome.findings.all_changed(),
        "checks": checks.map(|checks| checks.iter().map(check).collect::<Vec<Value>>()),
    }))
}

/// For people.
pub(super) fn people(outcome: &Outcome, checks: Option<&[Check]>) -> io::Result<()> {
    let mut table = output::table();
    table.set_header(["TABLE", "ROWS", if checks.is_some() { "COPIED" } else { "TO COPY" }, "LEFT OUT"]);
    for it in &outcome.tables {
        let left_out = outcome.findings.left_out_of(it.table);
        table.add_row([it.table.to_owned(), it.old.to_string(), it.copied.to_string(), left_out.to_string()]);
    }
    output::print(table)?;
    found("left out", &outcome.findings.all_left_out())?;
    found("changed", &outcome.findings.all_changed())?;
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

/// Every row, by its key: somebody may want to look each up.
fn found(title: &str, findings: &[Finding<'_>]) -> io::Result<()> {
    for Finding { table, reason, rows } in findings {
        let kind = if rows.len() == 1 { "row" } else { "rows" };
        output::line(format_args!("\n{title}: {} {kind} of {table}: {reason}", rows.len()))?;
        output::line(format_args!("  {}", output::plain(&rows.join(" "))))?;
    }
    Ok(())
}
