//! `sarban export`: the way back, a SQLite database that Marzneshin (the old panel) opens.

mod rows;
mod writer;

use clap::Args;
use serde_json::json;

use self::writer::{Export, Exported};
use super::usage_error::UsageError;
use super::{database, output};
use crate::config::Settings;
use crate::config::database_url::DatabaseUrl;
use crate::store::import::legacy::OldFile;
use crate::store::import::tables;

/// Arguments of `sarban export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File to write, as sqlite:///path; it must not exist. Stop all panels first
    #[arg(long, value_name = "URL")]
    to: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ExportArgs, settings: &Settings) -> anyhow::Result<()> {
    let path = match DatabaseUrl::parse(args.to.trim()) {
        Ok(DatabaseUrl::Sqlite { path }) => path,
        Ok(DatabaseUrl::Postgres { .. }) => {
            return Err(UsageError::new("--to must be a SQLite file, such as sqlite:///marzneshin.sqlite3").into());
        }
        Err(problem) => return Err(UsageError(format!("--to {problem}")).into()),
    };
    let db = database::open_migrated(settings).await?;
    let mut tx = db.begin_bulk().await?;
    let mut file = OldFile::create(&path).await?;
    let written = Export::new(&mut tx, &mut file).write_all().await;
    let unfolded = tables::unfolded(&mut tx).await;
    tx.rollback().await?;
    db.close().await;
    let (written, unfolded) = (written?, unfolded?);
    file.finish().await?;
    report(&args, &written, unfolded)
}

/// `unfolded` is the number of usage batches that are not in the hourly traffic yet.
fn report(args: &ExportArgs, exported: &Exported, unfolded: i64) -> anyhow::Result<()> {
    let Exported { tables: written, without_core_settings } = exported;
    if args.json {
        let tables = written.iter().map(|it| json!({"table": it.table, "rows": it.rows, "left_out": it.left_out}));
        return output::json(&json!({
            "tables": tables.collect::<Vec<_>>(),
            "usage_batches_left_out": unfolded,
            "hosts_without_core_settings": without_core_settings,
        }));
    }
    let mut table = output::table();
    table.set_header(["TABLE", "WRITTEN", "LEFT OUT"]);
    for it in written {
        table.add_row([it.table.to_owned(), it.rows.to_string(), it.left_out.to_string()]);
    }
    output::print(table)?;
    if unfolded > 0 {
        output::line(format_args!(
            "\nleft out {unfolded} usage batches that are not in the hourly traffic yet; to include them, run the panel \
             for a few minutes and export again"
        ))?;
    }
    if !without_core_settings.is_empty() {
        let ids: Vec<String> = without_core_settings.iter().map(i64::to_string).collect();
        output::line(format_args!(
            "\nleft out core_settings of the hosts {}: the old panel has no column for them",
            ids.join(", ")
        ))?;
    }
    Ok(output::line("\nset SQLALCHEMY_DATABASE_URL of the old panel to this file, and start it")?)
}
