//! Opens the database for a command.

use std::time::Duration;

use anyhow::Context;

use super::usage_error::UsageError;
use crate::config::Settings;
use crate::config::database_url::DatabaseUrl;
use crate::store::migrate;
use crate::store::{Db, OpenOptions};

/// Time limit for a connection and for a lock. Short, because a person waits.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One for the work, and one to look beside it; the second is opened when it is needed.
const CONNECTIONS: u32 = 2;

/// Time limit of a statement. Commands may read everything.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(300);

/// Opens the database at `url`, whatever its schema.
pub(super) async fn open(url: DatabaseUrl, settings: &Settings) -> anyhow::Result<Db> {
    let options = OpenOptions {
        url,
        connections: CONNECTIONS,
        statement_cache: settings.database.statement_cache,
        application_name: "sarban command".to_owned(),
        acquire_timeout: TIMEOUT,
        statement_timeout: STATEMENT_TIMEOUT,
        busy_timeout: TIMEOUT,
        read_only: false,
    };
    migrate::refuse_old_panel(&options).await?;
    Db::open(&options).await.with_context(|| {
        let source = settings.sources.of(settings.database.setting_of(&options.url));
        format!("could not open the database; check {source} and that the database server is running")
    })
}

/// Opens the panel's database, which must have all migrations. An empty database gets them, so that the first admin can
/// be created before the first start. A database in use is not migrated, because panels of the old version may be running.
pub(super) async fn open_migrated(settings: &Settings) -> anyhow::Result<Db> {
    let db = open(settings.database.url.clone(), settings).await?;
    match migrate::pending(&db).await? {
        0 => Ok(db),
        pending if i64::try_from(pending) == Ok(migrate::LATEST) => {
            // Migrations need the direct address: pgbouncer does not support all that they do.
            let direct = open(settings.database.direct_url().clone(), settings).await?;
            let migrated = migrate::migrate(&direct).await;
            direct.close().await;
            migrated?;
            Ok(db)
        }
        pending => {
            let migrations = if pending == 1 { "migration is" } else { "migrations are" };
            Err(UsageError(format!("{pending} {migrations} pending; run `sarban migrate` first")).into())
        }
    }
}
