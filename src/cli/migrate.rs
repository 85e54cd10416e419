//! `sarban migrate`: brings the schema up to date, for a stack's one-shot job.

use std::time::Duration;

use anyhow::Context;

use super::output;
use crate::config::Settings;
use crate::store::{Db, OpenOptions, migrate};

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let db = Db::open(&OpenOptions {
        url: settings.database.direct_url().clone(),
        connections: 1,
        statement_cache: settings.database.statement_cache,
        application_name: "sarban migrate".to_owned(),
        acquire_timeout: Duration::from_secs(10),
        busy_timeout: Duration::from_secs(10),
    });
    let db = db.await.context("the database can't be opened; look at SQLALCHEMY_DATABASE_URL and at the server")?;
    let applied = migrate::migrate(&db).await;
    db.close().await;
    match applied? {
        0 => output::line("the schema is up to date")?,
        1 => output::line("applied 1 migration")?,
        count => output::line(format_args!("applied {count} migrations"))?,
    }
    Ok(())
}
