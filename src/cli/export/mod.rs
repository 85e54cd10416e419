//! `sarban export`: the way back, a SQLite database that Marzneshin (the old panel) opens.

mod columns;
mod report;
mod rows;
mod rules;
mod writer;

use std::path::PathBuf;

use clap::Args;

use self::report::Report;
use self::writer::Export;
use super::report_file::ReportFile;
use super::usage_error::UsageError;
use super::{database, output};
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::database_url::DatabaseUrl;
use crate::nodes::spool;
use crate::store::import::legacy::OldFile;
use crate::store::import::tables;
use crate::store::usage::finish::finish;
use crate::store::usage::totals::ApplyOptions;

/// Arguments of `sarban export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File to write, as sqlite:///path; it must not exist. Stop all panels first
    #[arg(long, value_name = "URL")]
    to: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also write the report into a new file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) async fn run(args: ExportArgs, settings: &Settings) -> anyhow::Result<()> {
    let path = match DatabaseUrl::parse(args.to.trim()) {
        Ok(DatabaseUrl::Sqlite { path }) => path,
        Ok(DatabaseUrl::Postgres { .. }) => {
            return Err(UsageError::new("--to must be a SQLite file, such as sqlite:///marzneshin.sqlite3").into());
        }
        Err(problem) => return Err(UsageError(format!("--to {problem}")).into()),
    };
    let mut report_file = ReportFile::create(args.report.as_deref())?;
    let db = database::open_migrated(settings).await?;
    let mut tx = db.begin_bulk().await?;
    tables::use_snapshot(&mut tx).await?;
    let mut file = OldFile::create(&path).await?;
    // The last replies of the nodes are not in the users' hours yet. The transaction is rolled back, so that the panel,
    // if it is started again, does the same.
    let options = ApplyOptions { node_hours: !settings.tasks.without_node_usage, notify_percent: None };
    finish(&mut tx, options, Clock::real().now()).await?;
    let written = Export::new(&mut tx, &mut file).write_all().await;
    let unfinished = tables::unfolded(&mut tx).await;
    tx.rollback().await?;
    db.close().await;
    let (written, unfinished) = (written?, unfinished?);
    file.finish().await?;
    let at = format!("{}Z", Clock::real().now().naive_iso());
    let spool_files = spool::unfinished(&settings.instance.data_dir);
    let report = Report::new(&written, unfinished, &spool_files, at);
    if let Some(file) = &mut report_file {
        file.write(&report)?;
    }
    if args.json { output::json(&report) } else { Ok(report.print()?) }
}
