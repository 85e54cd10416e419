//! Opens the database of the settings; an error says what to check.

use std::time::Duration;

use anyhow::{Context, bail};

use super::wrong_setting::{system_said, wrong_setting};
use crate::config::Settings;
use crate::config::cores::Cores;
use crate::config::database_url::DatabaseUrl;
use crate::store::migrate::MigrationError;
use crate::store::users::list;
use crate::store::{Condition, Db, OpenOptions, StoreError, migrate};

/// Longest time that a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time that a statement waits for PostgreSQL's answer, unless it is known to take long. A server that is cut off
/// never answers, and the next request, whose connection must be made first, should be answered within five seconds. At 200 ms
/// per round trip a statement takes half a second.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(3_500);
// With a ping that gets no answer, which takes a second.
const _: () = assert!(STATEMENT_TIMEOUT.as_millis() + 1_000 < 5_000);

/// Options for the connections of requests and tasks.
pub(super) fn options(settings: &Settings) -> OpenOptions {
    OpenOptions {
        url: settings.database.url.clone(),
        connections: settings.database.open_connections(Cores::detect().whole()),
        statement_cache: settings.database.statement_cache,
        application_name: format!("sarban-{}", settings.instance.name),
        acquire_timeout: ACQUIRE_TIMEOUT,
        statement_timeout: STATEMENT_TIMEOUT,
        busy_timeout: Duration::from_secs(5),
        read_only: false,
    }
}

/// Options for the lease's thread: a few connections of its own, not through pgbouncer.
pub(super) fn lease_options(settings: &Settings) -> OpenOptions {
    OpenOptions {
        // One for the ledger, one for the clock; the lease has one of its own.
        connections: 2,
        application_name: format!("sarban-lease-{}", settings.instance.name),
        acquire_timeout: Duration::from_secs(2),
        // Longer than PostgreSQL's own limit in a transaction of the lease.
        statement_timeout: Duration::from_secs(3),
        ..direct_options(settings)
    }
}

/// Options for migrations: not through pgbouncer, so that prepared statements work.
fn direct_options(settings: &Settings) -> OpenOptions {
    OpenOptions {
        url: settings.database.direct_url().clone(),
        statement_cache: settings.database.direct_statement_cache(),
        connections: 1,
        ..options(settings)
    }
}

/// Applies pending migrations, or refuses to start with any, and opens the database for requests and tasks.
pub(super) async fn open_current(settings: &Settings, migrate: bool) -> anyhow::Result<Db> {
    let direct = open_direct(settings).await?;
    let current = bring_schema_up_to_date(&direct, migrate).await;
    direct.close().await;
    current?;
    let db = open(settings).await?;
    if !list::search_is_indexed(&db).await? {
        tracing::warn!(
            "searching for user names has no index and is slow with many users; run these statements as a role \
             that may: CREATE EXTENSION pg_trgm; CREATE INDEX user_names_parts ON user_names USING gin (username \
             gin_trgm_ops)"
        );
    }
    Ok(db)
}

async fn bring_schema_up_to_date(db: &Db, apply: bool) -> anyhow::Result<()> {
    if apply {
        let applied = migrate::migrate(db).await.map_err(of_migration)?;
        if applied > 0 {
            tracing::info!(applied, "applied pending migrations");
        }
        return Ok(());
    }
    match migrate::pending(db).await? {
        0 => Ok(()),
        pending => bail!("{pending} migrations are pending: run `sarban migrate`, or start without --no-migrate"),
    }
}

/// The state of the database that made opening it fail, if that is the reason.
pub(super) fn condition(error: &anyhow::Error) -> Option<Condition> {
    error.chain().find_map(|error| {
        let migrating = error.downcast_ref::<MigrationError>().and_then(MigrationError::condition);
        migrating.or_else(|| error.downcast_ref::<StoreError>().and_then(StoreError::condition))
    })
}

/// Opens the database for requests and tasks.
pub(super) async fn open(settings: &Settings) -> anyhow::Result<Db> {
    open_with(&options(settings), settings).await
}

/// Opens the database for migrations, not through pgbouncer. Refuses a database of the old panel.
pub(super) async fn open_direct(settings: &Settings) -> anyhow::Result<Db> {
    let options = direct_options(settings);
    migrate::refuse_old_panel(&options).await.map_err(of_migration)?;
    open_with(&options, settings).await
}

/// Opens the database as `serve` does, and tries the migrations of an empty one. Leaves nothing behind.
pub(super) async fn probe(settings: &Settings) -> anyhow::Result<()> {
    if settings.http.read_only {
        let db = open_to_read(settings).await?;
        let current = check_schema(&db).await;
        db.close().await;
        return current;
    }
    if let DatabaseUrl::Sqlite { path } = &settings.database.url
        && !path.exists()
    {
        return Db::probe_new_file(path).with_context(|| hint(&settings.database.url, settings));
    }
    let direct = open_direct(settings).await?;
    let tried = migrate::rehearse(&direct).await;
    direct.close().await;
    tried?;
    if settings.database.direct_url() != &settings.database.url {
        open(settings).await?.close().await;
    }
    Ok(())
}

/// Refuses a schema that a read-only panel would have to change.
pub(super) async fn check_schema(db: &Db) -> anyhow::Result<()> {
    let current = migrate::is_current(db).await.context(
        "could not read the schema version; SARBAN_READ_ONLY creates nothing: run `sarban migrate` or `sarban import` \
         without it first",
    )?;
    if !current {
        bail!("migrations are pending and SARBAN_READ_ONLY is on: run `sarban migrate` without it first");
    }
    Ok(())
}

async fn open_with(options: &OpenOptions, settings: &Settings) -> anyhow::Result<Db> {
    let opened = Db::open(options).await.with_context(|| hint(&options.url, settings));
    opened.map_err(|error| of_opening(&options.url, error))
}

/// An error of opening a database: of a wrong setting if a SQLite file can't be created where the settings say. A file that is there may
/// be put right beside a process that tries again, as a server may.
pub(super) fn of_opening(url: &DatabaseUrl, error: anyhow::Error) -> anyhow::Error {
    let is_of_path = matches!(url, DatabaseUrl::Sqlite { .. }) && system_said(&error).is_some();
    if is_of_path { wrong_setting(error) } else { error }
}

/// A newer schema waits for a newer program, which does not start a service that has ended for good.
fn of_migration(error: MigrationError) -> anyhow::Error {
    if matches!(error, MigrationError::OldPanel) { wrong_setting(error) } else { error.into() }
}

/// Opens the database read-only: not through pgbouncer, which may not pass that setting of the session on.
pub(super) async fn open_to_read(settings: &Settings) -> anyhow::Result<Db> {
    let options = OpenOptions { url: settings.database.direct_url().clone(), read_only: true, ..options(settings) };
    open_with(&options, settings).await
}

fn hint(url: &DatabaseUrl, settings: &Settings) -> String {
    let check = match url {
        DatabaseUrl::Postgres { .. } => "that PostgreSQL is running and that pg_hba.conf allows this machine",
        DatabaseUrl::Sqlite { .. } => "that its folder exists and is writable",
    };
    let source = settings.sources.of(settings.database.setting_of(url));
    format!("could not open the database at {url:?}: check {source}, and {check}")
}
