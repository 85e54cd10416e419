//! `sarban export`: the way back, a database file that the old panel opens.

mod rows;

use std::collections::HashSet;

use clap::Args;
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::{Usage, database, output};
use crate::config::Settings;
use crate::config::database_url::DatabaseUrl;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::store::Tx;
use crate::store::import::legacy;
use crate::store::import::legacy::{OldFile, OldTable};
use crate::store::import::tables;
use crate::store::import::tables::Stored;

/// Rows of one statement.
const CHUNK: usize = 5_000;

/// Where to.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A file that is not there yet, as sqlite:///path. Stop all panels first
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
            return Err(Usage("--to must name a SQLite file: sqlite:///marzneshin.sqlite3".to_owned()).into());
        }
        Err(wrong) => return Err(Usage(format!("--to {wrong}")).into()),
    };
    let db = database::open_migrated(settings).await?;
    let mut tx = db.begin().await?;
    let mut file = OldFile::create(&path).await?;
    let written = Export { tx: &mut tx, file: &mut file, written: Vec::new() }.all().await;
    let waiting = tables::unfolded(&mut tx).await;
    tx.rollback().await?;
    db.close().await;
    let (written, waiting) = (written?, waiting?);
    file.finish().await?;
    report(&args, &written, waiting)
}

fn report(args: &ExportArgs, written: &[Written], waiting: i64) -> anyhow::Result<()> {
    if args.json {
        let tables = written.iter().map(|it| json!({"table": it.table, "rows": it.rows, "left_out": it.left_out}));
        return output::json(&json!({"tables": tables.collect::<Vec<_>>(), "usage_batches_left_out": waiting}));
    }
    let mut table = output::table();
    table.set_header(["TABLE", "WRITTEN", "LEFT OUT"]);
    for it in written {
        table.add_row([it.table.to_owned(), it.rows.to_string(), it.left_out.to_string()]);
    }
    output::print(table)?;
    if waiting > 0 {
        output::line(format_args!(
            "\n{waiting} replies of nodes were not yet in the users' hours and are not in the file; to have them, let the \
             panel run for a while and export again"
        ))?;
    }
    Ok(output::line("\nthe old panel can open it: name it in its SQLALCHEMY_DATABASE_URL")?)
}

/// What became of a table.
struct Written {
    table: &'static str,
    rows: usize,
    left_out: usize,
}

struct Export<'a> {
    tx: &'a mut Tx,
    file: &'a mut OldFile,
    written: Vec<Written>,
}

impl Export<'_> {
    async fn all(mut self) -> anyhow::Result<Vec<Written>> {
        tables::hold_still(self.tx).await?;
        self.table(legacy::SETTINGS, rows::settings).await?;
        if self.rows_of_last() == 0 {
            // This panel makes its settings when they are first asked for.
            let initial = serde_json::to_string(&SubscriptionSettings::initial())?;
            let row = json!({"id": 1, "subscription": initial, "telegram": "null"});
            self.file.insert(legacy::SETTINGS, &[row]).await?;
        }
        self.table(legacy::JWT, rows::jwt).await?;
        if self.rows_of_last() == 0 {
            anyhow::bail!(
                "there is no secret for tokens yet: start the panel once, sign in, stop it, and export again"
            );
        }
        self.table(legacy::TLS, rows::tls).await?;
        self.table(legacy::ADMINS, rows::admin).await?;
        self.table(legacy::SERVICES, rows::service).await?;
        self.table(legacy::ADMINS_SERVICES, rows::admin_service).await?;
        self.table(legacy::USERS, rows::user).await?;
        self.table(legacy::USERS_SERVICES, rows::user_service).await?;
        self.table(legacy::NODES, rows::node).await?;
        let mut next = rows::numbers();
        self.table(legacy::BACKENDS, |row: tables::BackendRow| rows::backend(row, next())).await?;
        // The old panel knows a closed list of protocols.
        let mut inbounds = HashSet::new();
        self.table(legacy::INBOUNDS, |row: tables::InboundRow| {
            let id = row.id;
            let old = rows::inbound(row)?;
            inbounds.insert(Some(id));
            Some(old)
        })
        .await?;
        self.table(legacy::INBOUNDS_SERVICES, |row: tables::InboundServiceRow| {
            inbounds.contains(&Some(row.inbound_id)).then(|| rows::inbound_service(&row))
        })
        .await?;
        let mut hosts = HashSet::new();
        self.table(legacy::HOSTS, |row: tables::HostRow| {
            let known = row.inbound_id.is_none() || inbounds.contains(&row.inbound_id);
            known.then(|| {
                hosts.insert(row.id);
                rows::host(row)
            })
        })
        .await?;
        self.table(legacy::HOSTS_SERVICES, |row: tables::HostServiceRow| {
            hosts.contains(&row.host_id).then(|| rows::host_service(&row))
        })
        .await?;
        self.table(legacy::HOST_CHAINS, |row: tables::HostChainRow| {
            (hosts.contains(&row.host_id) && hosts.contains(&row.chained_host_id)).then(|| rows::host_chain(&row))
        })
        .await?;
        let mut next = rows::numbers();
        self.table(legacy::NODE_USAGES, |row: tables::NodeHour| Some(rows::node_hour(&row, next()))).await?;
        let mut next = rows::numbers();
        self.table(legacy::NODE_USER_USAGES, |row: tables::UserHour| Some(rows::user_hour(&row, next()))).await?;
        Ok(self.written)
    }

    async fn table<R: Stored + 'static>(
        &mut self,
        table: &'static OldTable,
        mut convert: impl FnMut(R) -> Option<Value>,
    ) -> anyhow::Result<()> {
        let mut written = Written { table: table.name, rows: 0, left_out: 0 };
        let mut chunks = tables::rows::<R>(self.tx).try_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| error.1)?;
            let count = chunk.len();
            let rows: Vec<Value> = chunk.into_iter().filter_map(&mut convert).collect();
            self.file.insert(table, &rows).await?;
            written.rows += rows.len();
            written.left_out += count - rows.len();
        }
        drop(chunks);
        self.written.push(written);
        Ok(())
    }

    fn rows_of_last(&self) -> usize {
        self.written.last().map_or(0, |written| written.rows)
    }
}
