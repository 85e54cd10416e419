//! `sarban import`: copies a database of Marzneshin (the old panel) into an empty one, in a single transaction. Ids,
//! keys, secrets and password hashes stay the same, so that tokens, links, nodes and bots keep working.

mod copy;
mod issues;
mod outcome;
mod progress;
mod report;
mod rows;
mod sample;
mod verify;

use clap::Args;

use self::copy::{Target, copy};
use self::outcome::Outcome;
use self::verify::{Check, verify};
use super::usage_error::UsageError;
use super::{database, output};
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::old_database::OldDatabaseUrl;
use crate::domain::moment::Moment;
use crate::store::import::legacy::{Source, SourceError};
use crate::store::import::tables::{advance_ids, contents};
use crate::store::{Db, Tx};

/// Arguments of `sarban import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Database of the old panel, as in its .env: sqlite:///…, mysql://user@host/name or postgresql://user@host/name.
    /// Put a URL with a password into SARBAN_IMPORT_FROM, or into the file that SARBAN_IMPORT_FROM_FILE names
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Write nothing; show the rows to copy, and those that would be left out or changed
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ImportArgs, settings: &Settings) -> anyhow::Result<()> {
    let from = source_url(args.from.as_deref(), settings)?;
    if from == OldDatabaseUrl::Panel(settings.database.url.clone()) {
        let message = "--from is the database of this panel; set SQLALCHEMY_DATABASE_URL to a new, empty database";
        return Err(UsageError::new(message).into());
    }
    let mut source = Source::open(&from).await.map_err(source_error)?;
    let now = Clock::real().now();
    if args.dry_run {
        let outcome = copy(&mut source, Target::DryRun, now).await?;
        return report(&args, &outcome, None);
    }
    let db = database::open_migrated(settings).await?;
    let result = import(&db, &mut source, &args, now).await;
    db.close().await;
    source.close().await?;
    result
}

fn source_url(argument: Option<&str>, settings: &Settings) -> Result<OldDatabaseUrl, UsageError> {
    let Some(argument) = argument else {
        let missing = "the old panel's database is missing; give it with --from or in SARBAN_IMPORT_FROM";
        return settings.import.from.clone().ok_or_else(|| UsageError::new(missing));
    };
    let from = OldDatabaseUrl::parse(argument.trim()).map_err(|problem| UsageError(format!("--from {problem}")))?;
    if from.has_password() {
        return Err(UsageError::new(
            "--from contains a password, which all users of this machine can see in the process list; use \
             SARBAN_IMPORT_FROM instead",
        ));
    }
    Ok(from)
}

async fn import(db: &Db, source: &mut Source, args: &ImportArgs, now: Moment) -> anyhow::Result<()> {
    let mut tx = db.begin_bulk().await?;
    must_be_empty(&mut tx).await?;
    let outcome = copy(source, Target::Database(&mut tx), now).await?;
    advance_ids(&mut tx).await?;
    let checks = verify(&mut tx, &outcome, now).await?;
    if !checks.iter().all(Check::holds) {
        tx.rollback().await?;
        report(args, &outcome, Some(&checks))?;
        anyhow::bail!("verification failed (✗ above); the import was rolled back");
    }
    tx.commit().await?;
    report(args, &outcome, Some(&checks))
}

async fn must_be_empty(tx: &mut Tx) -> anyhow::Result<()> {
    let contents = contents(tx).await?.words();
    if contents.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "the database of SQLALCHEMY_DATABASE_URL is not empty: it has {}; use a new database, and import before the \
         panel's first start",
        contents.join(", ")
    )
}

fn report(args: &ImportArgs, outcome: &Outcome, checks: Option<&[Check]>) -> anyhow::Result<()> {
    if args.json {
        return report::json(outcome, checks);
    }
    report::text(outcome, checks)?;
    let end = if checks.is_some() { "import complete; start the panel" } else { "dry run: nothing was written" };
    Ok(output::line(format_args!("\n{end}"))?)
}

/// A database that is not Marzneshin's is a usage error.
fn source_error(error: SourceError) -> anyhow::Error {
    match error {
        SourceError::Store(error) => anyhow::Error::new(error).context("could not read the database of --from"),
        other => UsageError(other.to_string()).into(),
    }
}
