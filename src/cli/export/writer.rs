//! Copies all tables, in the order in which rows refer to each other.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::rows;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::store::Tx;
use crate::store::import::legacy;
use crate::store::import::legacy::{OldFile, OldTable};
use crate::store::import::tables;
use crate::store::import::tables::Stored;

/// Rows per INSERT statement.
const CHUNK: usize = 5_000;

/// Row counts of a written table.
pub(super) struct Written {
    pub table: &'static str,
    pub rows: usize,
    pub left_out: usize,
}

/// The result of an export.
pub(super) struct Exported {
    pub tables: Vec<Written>,
    /// The hosts whose settings of current cores have no column in the file.
    pub without_core_settings: Vec<i64>,
}

/// An export from a transaction into a file.
pub(super) struct Export<'a> {
    tx: &'a mut Tx,
    file: &'a mut OldFile,
    written: Vec<Written>,
    without_core_settings: Vec<i64>,
}

impl<'a> Export<'a> {
    pub(super) fn new(tx: &'a mut Tx, file: &'a mut OldFile) -> Self {
        Self { tx, file, written: Vec::new(), without_core_settings: Vec::new() }
    }

    /// Writes all tables, from one snapshot of the database.
    pub(super) async fn write_all(mut self) -> anyhow::Result<Exported> {
        tables::use_snapshot(self.tx).await?;
        self.settings().await?;
        self.accounts().await?;
        self.nodes_and_hosts().await?;
        self.traffic().await?;
        Ok(Exported { tables: self.written, without_core_settings: self.without_core_settings })
    }

    async fn settings(&mut self) -> anyhow::Result<()> {
        if self.table(legacy::SETTINGS, rows::settings).await? == 0 {
            // The panel has not stored its default settings yet, and Marzneshin needs them.
            let initial = serde_json::to_string(&SubscriptionSettings::initial())?;
            let row = json!({"id": 1, "subscription": initial, "telegram": "null"});
            self.file.insert(legacy::SETTINGS, &[row]).await?;
        }
        if self.table(legacy::JWT, rows::jwt).await? == 0 {
            anyhow::bail!(
                "the database has no secret for tokens yet: start the panel once, sign in, stop it, and export again"
            );
        }
        self.table(legacy::TLS, rows::tls).await?;
        Ok(())
    }

    async fn accounts(&mut self) -> anyhow::Result<()> {
        self.table(legacy::ADMINS, rows::admin).await?;
        self.table(legacy::SERVICES, rows::service).await?;
        self.table(legacy::ADMINS_SERVICES, rows::admin_service).await?;
        self.table(legacy::USERS, rows::user).await?;
        self.table(legacy::USERS_SERVICES, rows::user_service).await?;
        Ok(())
    }

    async fn nodes_and_hosts(&mut self) -> anyhow::Result<()> {
        self.table(legacy::NODES, rows::node).await?;
        let mut next_id = rows::ids();
        self.table(legacy::BACKENDS, |row: &tables::BackendRow| rows::backend(row, next_id())).await?;
        // Marzneshin's protocols are an enum, so that other inbounds, and what refers to them, are left out.
        let mut inbounds = HashSet::new();
        self.table(legacy::INBOUNDS, |row: &tables::InboundRow| {
            let old = rows::inbound(row)?;
            inbounds.insert(row.id);
            Some(old)
        })
        .await?;
        self.table(legacy::INBOUNDS_SERVICES, |row: &tables::InboundServiceRow| {
            inbounds.contains(&row.inbound_id).then(|| rows::inbound_service(row))
        })
        .await?;
        let mut hosts = HashSet::new();
        let mut without_core_settings = Vec::new();
        self.table(legacy::HOSTS, |row: &tables::HostRow| {
            let has_inbound = row.inbound_id.is_none_or(|inbound| inbounds.contains(&inbound));
            has_inbound.then(|| {
                hosts.insert(row.id);
                without_core_settings.extend(row.spec.core_settings.is_some().then_some(row.id));
                rows::host(row)
            })
        })
        .await?;
        self.without_core_settings = without_core_settings;
        self.table(legacy::HOSTS_SERVICES, |row: &tables::HostServiceRow| {
            hosts.contains(&row.host_id).then(|| rows::host_service(row))
        })
        .await?;
        self.table(legacy::HOST_CHAINS, |row: &tables::HostChainRow| {
            (hosts.contains(&row.host_id) && hosts.contains(&row.chained_host_id)).then(|| rows::host_chain(row))
        })
        .await?;
        Ok(())
    }

    async fn traffic(&mut self) -> anyhow::Result<()> {
        let mut next_id = rows::ids();
        self.table(legacy::NODE_USAGES, |row: &tables::NodeHour| rows::node_hour(row, next_id())).await?;
        let mut next_id = rows::ids();
        self.table(legacy::NODE_USER_USAGES, |row: &tables::UserHour| rows::user_hour(row, next_id())).await?;
        Ok(())
    }

    /// Copies a table, leaves out the rows that `convert` refuses, and returns the number of written rows.
    async fn table<R: Stored + 'static, V: Into<Option<Value>>>(
        &mut self,
        table: &'static OldTable,
        mut convert: impl FnMut(&R) -> V,
    ) -> anyhow::Result<usize> {
        let mut written = Written { table: table.name, rows: 0, left_out: 0 };
        let mut chunks = tables::rows::<R>(self.tx).try_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| error.1)?;
            let count = chunk.len();
            let rows: Vec<Value> = chunk.iter().filter_map(|row| convert(row).into()).collect();
            self.file.insert(table, &rows).await?;
            written.rows += rows.len();
            written.left_out += count - rows.len();
        }
        drop(chunks);
        let rows = written.rows;
        self.written.push(written);
        Ok(rows)
    }
}
