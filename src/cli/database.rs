//! The database as a command needs it: one connection, opened for a moment.

use std::time::Duration;

use anyhow::Context;

use super::Usage;
use crate::config::Settings;
use crate::config::database_url::DatabaseUrl;
use crate::store::migrate;
use crate::store::{Db, OpenOptions};

/// A person waits.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn open(url: DatabaseUrl, settings: &Settings) -> anyhow::Result<Db> {
    let options = OpenOptions {
        url,
        connections: 1,
        statement_cache: settings.database.statement_cache,
        application_name: "sarban command".to_owned(),
        acquire_timeout: PATIENCE,
        busy_timeout: PATIENCE,
        read_only: false,
    };
    Db::open(&options).await.context("the database can't be opened; look at SQLALCHEMY_DATABASE_URL and at the server")
}

/// With all tables. An empty database gets them, so that the first admin can be made before the first start; one that
/// is in use is not changed on the way.
pub(super) async fn open_migrated(settings: &Settings) -> anyhow::Result<Db> {
    let db = open(settings.database.url.clone(), settings).await?;
    match migrate::pending(&db).await? {
        0 => Ok(db),
        pending if i64::try_from(pending) == Ok(migrate::LATEST) => {
            // By the direct address: a pooler may not carry what migrations need.
            let direct = open(settings.database.direct_url().clone(), settings).await?;
            let migrated = migrate::migrate(&direct).await;
            direct.close().await;
            migrated?;
            Ok(db)
        }
        pending => {
            let migrations = if pending == 1 { "migration is" } else { "migrations are" };
            Err(Usage(format!("{pending} {migrations} pending; apply with `sarban migrate` first")).into())
        }
    }
}
