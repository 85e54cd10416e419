//! `sarban import`: a whole database of the old panel (Marzneshin) into an empty one, so that tokens, links, nodes and
//! bots go on as they were. One transaction: all of it, or nothing.

mod copy;
mod findings;
mod fleet;
mod hosts;
mod people;
mod progress;
mod reading;
mod report;
mod sample;
mod settings;
mod usage;
mod verify;

use clap::Args;

use self::copy::{Outcome, Target, copy};
use self::verify::{Check, verify};
use super::{Usage, database, output};
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::old_database::OldDatabaseUrl;
use crate::domain::moment::Moment;
use crate::store::import::legacy::{Source, SourceError};
use crate::store::import::tables::{contents, number_after};
use crate::store::{Db, Tx};

/// What to import.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The old panel's database: sqlite:///…, mysql://user@host/name or postgresql://user@host/name, as its environment
    /// has it. One with a password belongs into SARBAN_IMPORT_FROM (or the file of SARBAN_IMPORT_FROM_FILE)
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Only show what would be copied, and every row that can't be
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ImportArgs, settings: &Settings) -> anyhow::Result<()> {
    let from = source_url(args.from.as_deref(), settings)?;
    if from == OldDatabaseUrl::Panel(settings.database.url.clone()) {
        return Err(Usage(
            "--from is the database of this panel; SQLALCHEMY_DATABASE_URL must name a new one".to_owned(),
        )
        .into());
    }
    let mut source = Source::open(&from).await.map_err(wrong_source)?;
    let now = Clock::real().now();
    if args.dry_run {
        let outcome = copy(&mut source, Target::Nowhere, now).await?;
        return report(&args, &outcome, None);
    }
    let db = database::open_migrated(settings).await?;
    let done = into(&db, &mut source, &args, now).await;
    db.close().await;
    source.close().await?;
    done
}

fn source_url(argument: Option<&str>, settings: &Settings) -> Result<OldDatabaseUrl, Usage> {
    let Some(argument) = argument else {
        let nothing = "from where? Give the old panel's database with --from, or in SARBAN_IMPORT_FROM";
        return settings.import.from.clone().ok_or_else(|| Usage(nothing.to_owned()));
    };
    let from = OldDatabaseUrl::parse(argument.trim()).map_err(|wrong| Usage(format!("--from {wrong}")))?;
    if from.has_password() {
        let visible = "--from has a password, which everybody on this host can read in the list of processes: give the \
                       address in SARBAN_IMPORT_FROM instead";
        return Err(Usage(visible.to_owned()));
    }
    Ok(from)
}

async fn into(db: &Db, source: &mut Source, args: &ImportArgs, now: Moment) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    must_be_empty(&mut tx).await?;
    let outcome = copy(source, Target::Database(&mut tx), now).await?;
    number_after(&mut tx).await?;
    let checks = verify(&mut tx, &outcome, now).await?;
    if !checks.iter().all(Check::holds) {
        tx.rollback().await?;
        report(args, &outcome, Some(&checks))?;
        anyhow::bail!("what was written is not what was read (✗ above); nothing of it was kept");
    }
    tx.commit().await?;
    report(args, &outcome, Some(&checks))
}

async fn must_be_empty(tx: &mut Tx) -> anyhow::Result<()> {
    let there = contents(tx).await?.words();
    if there.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "the database of SQLALCHEMY_DATABASE_URL is not empty: it has {}; name a new one there, and import before the \
         panel's first start",
        there.join(", ")
    )
}

fn report(args: &ImportArgs, outcome: &Outcome, checks: Option<&[Check]>) -> anyhow::Result<()> {
    if args.json {
        return report::json(outcome, checks);
    }
    report::people(outcome, checks)?;
    let end = if checks.is_some() { "everything is here; start the panel" } else { "nothing was written" };
    Ok(output::line(format_args!("\n{end}"))?)
}

/// A database that is not what it should be is a wrong argument.
fn wrong_source(error: SourceError) -> anyhow::Error {
    match error {
        SourceError::Store(error) => anyhow::Error::new(error).context("the old database of --from can't be read"),
        other => Usage(other.to_string()).into(),
    }
}
