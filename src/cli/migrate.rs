//! `sarban migrate`: applies pending migrations.

use super::{database, output};
use crate::config::Settings;
use crate::store::migrate;

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let db = database::open(settings.database.direct_url().clone(), settings).await?;
    let applied = migrate::migrate(&db).await;
    db.close().await;
    match applied? {
        0 => output::line("the schema is up to date")?,
        1 => output::line("applied 1 migration")?,
        count => output::line(format_args!("applied {count} migrations"))?,
    }
    Ok(())
}
