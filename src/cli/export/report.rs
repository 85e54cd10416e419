//! The report of an export: row counts, and what is left out, changed or only taken by SQLite. It has ids, reasons and no
//! secrets.

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::writer::{Exported, Written};
use crate::cli::output;
use crate::cli::row_issues::{ListedIssues, RowIssues};

/// The report. The fields are the output of `--json` and `--report`.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    /// Version of this program.
    version: &'static str,
    /// End of the export, in UTC.
    at: String,
    tables: &'a [Written],
    #[serde(flatten)]
    listed: ListedIssues<'a>,
    /// Usage batches that can't be read: their traffic is not in the file.
    usage_batches_left_out: i64,
    /// Spool files of this machine with replies that may not be in the database.
    spool_files: &'a [PathBuf],
    /// Hosts whose settings of current cores have no column.
    hosts_without_core_settings: &'a [i64],
    #[serde(skip)]
    issues: &'a RowIssues,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        exported: &'a Exported,
        usage_batches_left_out: i64,
        spool_files: &'a [PathBuf],
        at: String,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            at,
            tables: &exported.tables,
            listed: exported.issues.listed(),
            usage_batches_left_out,
            spool_files,
            hosts_without_core_settings: &exported.without_core_settings,
            issues: &exported.issues,
        }
    }

    /// Prints the report as tables.
    pub(super) fn print(&self) -> io::Result<()> {
        let mut table = output::table();
        table.set_header(["TABLE", "WRITTEN", "LEFT OUT"]);
        for it in self.tables {
            table.add_row([it.table.to_owned(), it.rows.to_string(), it.left_out.to_string()]);
        }
        output::print(table)?;
        self.issues.print()?;
        if self.usage_batches_left_out > 0 {
            output::line(format_args!(
                "\nleft out {} usage batches that can't be read; the log of the panel and usage_batch.trouble say why",
                self.usage_batches_left_out
            ))?;
        }
        if !self.spool_files.is_empty() {
            output::line(format_args!(
                "\nleft out replies of nodes that are not in the database: {} of DATA_DIR has some; to include them, start the \
                 panel, stop it, and export again",
                if self.spool_files.len() == 1 { "a spool file" } else { "the spool" }
            ))?;
        }
        if !self.hosts_without_core_settings.is_empty() {
            let ids: Vec<String> = self.hosts_without_core_settings.iter().map(i64::to_string).collect();
            output::line(format_args!(
                "\nleft out core_settings of the hosts {}: the old panel has no column for them",
                ids.join(", ")
            ))?;
        }
        output::line("\nset SQLALCHEMY_DATABASE_URL of the old panel to this file, and start it")
    }
}
