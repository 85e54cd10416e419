//! Opens the database that the settings name, with an error that says what to look at.

use std::time::Duration;

use anyhow::Context;

use crate::config::Settings;
use crate::config::cores::Cores;
use crate::config::database_url::DatabaseUrl;
use crate::store::{Db, OpenOptions};

/// How long a request waits for a connection before it is told that the database is unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How this process opens its database.
pub(super) fn options(settings: &Settings) -> OpenOptions {
    OpenOptions {
        url: settings.database.url.clone(),
        connections: settings.database.open_connections(Cores::detect().whole()),
        statement_cache: settings.database.statement_cache,
        application_name: format!("sarban-{}", settings.instance.name),
        acquire_timeout: ACQUIRE_TIMEOUT,
        busy_timeout: Duration::from_secs(5),
        read_only: false,
    }
}

/// How the lease's thread opens it: few connections of its own, past pgbouncer, that wait for nobody.
pub(super) fn lease_options(settings: &Settings) -> OpenOptions {
    OpenOptions {
        // The lease, the ledger, and the clock between them.
        connections: 3,
        application_name: format!("sarban-lease-{}", settings.instance.name),
        acquire_timeout: Duration::from_secs(2),
        ..direct_options(settings)
    }
}

/// How migrations open it: past pgbouncer, where statements may have names.
fn direct_options(settings: &Settings) -> OpenOptions {
    OpenOptions {
        url: settings.database.direct_url().clone(),
        statement_cache: settings.database.direct_statement_cache(),
        connections: 1,
        ..options(settings)
    }
}

/// Opens the database for a process or a command.
pub async fn open(settings: &Settings) -> anyhow::Result<Db> {
    open_with(&options(settings)).await
}

/// Opens it past pgbouncer, for migrations.
pub(super) async fn open_direct(settings: &Settings) -> anyhow::Result<Db> {
    open_with(&direct_options(settings)).await
}

async fn open_with(options: &OpenOptions) -> anyhow::Result<Db> {
    Db::open(options).await.with_context(|| hint(&options.url))
}

/// Opens it for a panel that only looks on: past pgbouncer, which may not pass on that its session is read-only.
pub(super) async fn open_to_read(settings: &Settings) -> anyhow::Result<Db> {
    let options = OpenOptions { url: settings.database.direct_url().clone(), read_only: true, ..options(settings) };
    Db::open(&options).await.with_context(|| hint(&options.url))
}

fn hint(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Postgres { .. } => {
            format!(
                "no database at {url:?}: check SQLALCHEMY_DATABASE_URL, and that PostgreSQL runs and lets this host in"
            )
        }
        DatabaseUrl::Sqlite { .. } => {
            format!(
                "no database at {url:?}: check SQLALCHEMY_DATABASE_URL, and that its folder is there and may be written to"
            )
        }
    }
}
