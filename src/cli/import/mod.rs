//! `sarban import`: copies a database of Marzneshin (the old panel) into an empty one, in a single transaction. Ids,
//! keys, secrets and password hashes stay the same, so that tokens, links, nodes and bots keep working.

mod copy;
mod outcome;
mod progress;
mod report;
mod rows;
mod sample;
mod verify;
mod way_back;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use self::copy::{Target, copy};
use self::report::{End, Report};
use self::verify::{Check, verify};
use self::way_back::WayBack;
use super::preflight::Preflight;
use super::report_file::ReportFile;
use super::usage_error::UsageError;
use super::{database, output};
use crate::clock::Clock;
use crate::config::Settings;
use crate::config::database_url::DatabaseUrl;
use crate::config::old_database::OldDatabaseUrl;
use crate::domain::audit::{Actor, Entry, Origin};
use crate::domain::moment::Moment;
use crate::store::audit::entries;
use crate::store::import::legacy::{Source, SourceError};
use crate::store::import::tables::{advance_ids, contents};
use crate::store::{Db, Tx, analyze, migrate};

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
    /// Also write the report into a new file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) async fn run(args: ImportArgs, settings: &Settings, preflight: Preflight) -> anyhow::Result<()> {
    let from = source_url(args.from.as_deref(), settings)?;
    let name = if args.from.is_some() { "--from".to_owned() } else { settings.sources.of("SARBAN_IMPORT_FROM") };
    if from == OldDatabaseUrl::Panel(settings.database.url.clone()) {
        let panel = settings.sources.of("SQLALCHEMY_DATABASE_URL");
        return Err(
            UsageError(format!("{name} is the database of this panel; set {panel} to a new, empty database")).into()
        );
    }
    let mut reporter = Reporter { json: args.json, file: ReportFile::create(args.report.as_deref())? };
    let mut source = Source::open(&from).await.map_err(|error| source_error(error, &name))?;
    let now = Clock::real().now();
    if args.dry_run {
        let outcome = copy(&mut source, Target::DryRun, now).await?;
        source.close().await?;
        let mut problems = (preflight.all)(settings).await;
        problems.refused.extend(why_not_empty(settings).await);
        reporter.report(&Report::new(&outcome, End::DryRun(&problems), end_time()), true)?;
        return problems.into_result();
    }
    let db = database::open_migrated(settings).await?;
    let result = import(&db, &mut source, WayBack::from(&from), &mut reporter, now).await;
    db.close().await;
    source.close().await?;
    result
}

/// Writes the report to where it was asked for.
struct Reporter {
    json: bool,
    file: Option<ReportFile>,
}

impl Reporter {
    fn report(&mut self, report: &Report<'_>, succeeded: bool) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            file.write(report)?;
        }
        if self.json {
            return output::json(report);
        }
        report.print()?;
        if succeeded { Ok(report.print_end()?) } else { Ok(()) }
    }
}

fn end_time() -> String {
    format!("{}Z", Clock::real().now().naive_iso())
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

async fn import(
    db: &Db,
    source: &mut Source,
    back: WayBack,
    reporter: &mut Reporter,
    now: Moment,
) -> anyhow::Result<()> {
    let mut tx = db.begin_bulk().await?;
    if let Some(refusal) = not_empty(&mut tx).await? {
        anyhow::bail!(refusal);
    }
    let outcome = copy(source, Target::Database(&mut tx), now).await?;
    advance_ids(&mut tx).await?;
    analyze(&mut tx).await?;
    let checks = verify(&mut tx, &outcome, now).await?;
    let holds = checks.iter().all(Check::holds);
    if holds {
        let entry = Entry::of_one("database.import");
        entries::insert(&mut tx, &Origin::of(Actor::Command), &entry, now).await?;
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    let reported = reporter.report(&Report::new(&outcome, End::Verified(&checks, back), end_time()), holds);
    if holds {
        reported.context("the import is complete, but its report could not be written")?;
    }
    if holds { Ok(()) } else { anyhow::bail!("verification failed (✗ above); the import was rolled back") }
}

/// Returns why the database can't be imported into, if it is not empty.
async fn not_empty(tx: &mut Tx) -> anyhow::Result<Option<String>> {
    let contents = contents(tx).await?.words();
    let refusal = || {
        format!(
            "the database of SQLALCHEMY_DATABASE_URL is not empty: it has {}; use a new database, and import before the \
             panel's first start",
            contents.join(", ")
        )
    };
    Ok((!contents.is_empty()).then(refusal))
}

/// Says in a dry run what an import would refuse. A database that can't be read is the preflight's to name.
async fn why_not_empty(settings: &Settings) -> Option<String> {
    if let DatabaseUrl::Sqlite { path } = &settings.database.url
        && !path.exists()
    {
        return None;
    }
    let db = database::open(settings.database.url.clone(), settings).await.ok()?;
    let refusal = async {
        if migrate::pending(&db).await.ok()? > 0 {
            return None;
        }
        let mut tx = db.begin_bulk().await.ok()?;
        let refusal = not_empty(&mut tx).await.ok()?;
        tx.rollback().await.ok()?;
        refusal
    }
    .await;
    db.close().await;
    refusal
}

/// A database that is not Marzneshin's is a usage error. `name` is where its address was read.
fn source_error(error: SourceError, name: &str) -> anyhow::Error {
    match error {
        SourceError::Store(error) => {
            anyhow::Error::new(error).context(format!("could not read the database of {name}"))
        }
        other => UsageError(other.to_string()).into(),
    }
}
