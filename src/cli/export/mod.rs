//! `sarban export`: the way back, a SQLite database that Marzneshin (the old panel) opens.

mod columns;
mod report;
mod rows;
mod rules;
mod writer;

use std::path::PathBuf;

use anyhow::{Context, bail};
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
use crate::store::cluster::members;
use crate::store::import::legacy::OldFile;
use crate::store::import::tables;
use crate::store::usage::finish::finish;
use crate::store::usage::totals::ApplyOptions;
use crate::store::{Db, clock};

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
    let data_dir = &settings.instance.data_dir;
    let spool_files = spool::unfinished(data_dir).with_context(|| {
        format!("could not read the spool in {}, which may have replies of nodes; check DATA_DIR", data_dir.display())
    })?;
    let db = database::open_migrated(settings).await?;
    refuse_running_panel(&db).await?;
    let mut tx = db.begin_bulk().await?;
    tables::use_snapshot(&mut tx).await?;
    let mut file = OldFile::create(&path).await?;
    // The last replies of the nodes are not in the users' hours yet. The transaction is rolled back, so that the panel,
    // if it is started again, does the same.
    let options = ApplyOptions { node_hours: !settings.tasks.without_node_usage, notify_percent: None };
    finish(&mut tx, options, Clock::real().now()).await?;
    let written = Export::new(&mut tx, &mut file).write_all().await?;
    let unfinished = tables::unfolded(&mut tx).await?;
    tx.rollback().await?;
    db.close().await;
    file.finish().await?;
    let at = format!("{}Z", Clock::real().now().naive_iso());
    let report = Report::new(&written, unfinished, &spool_files, at);
    let stored = report_file.as_mut().map_or(Ok(()), |file| file.write(&report));
    let printed = if args.json { output::json(&report) } else { report.print().map_err(anyhow::Error::from) };
    stored.and(printed).with_context(|| format!("{} is complete, and its report could not be written", path.display()))
}

/// On SQLite an export locks the panel out, and what a panel does meanwhile would be missing in the file.
async fn refuse_running_panel(db: &Db) -> anyhow::Result<()> {
    let running = members::live(db, clock::now(db).await?).await?;
    let Some(one) = running.first() else { return Ok(()) };
    bail!(
        "a panel is running: process {} on {}; stop all panels, and export again (one that was killed counts for ten seconds)",
        one.pid,
        one.host
    );
}
