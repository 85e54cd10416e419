//! Copies all tables, in the order in which rows refer to each other.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::columns::fit;
use super::{rows, rules};
use crate::cli::row_issues::RowIssues;
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::store::Tx;
use crate::store::import::legacy;
use crate::store::import::legacy::{OldFile, OldTable};
use crate::store::import::tables;
use crate::store::import::tables::Stored;

/// Rows per INSERT statement.
const CHUNK: usize = 5_000;

/// Row counts of a written table.
#[derive(Serialize)]
pub(super) struct Written {
    pub table: &'static str,
    pub rows: usize,
    pub left_out: usize,
}

/// The result of an export.
pub(super) struct Exported {
    pub tables: Vec<Written>,
    pub issues: RowIssues,
    /// The hosts whose settings of current cores have no column in the file.
    pub without_core_settings: Vec<i64>,
}

/// An export from a transaction into a file.
pub(super) struct Export<'a> {
    tx: &'a mut Tx,
    file: &'a mut OldFile,
    written: Vec<Written>,
    issues: RowIssues,
    without_core_settings: Vec<i64>,
}

impl<'a> Export<'a> {
    pub(super) fn new(tx: &'a mut Tx, file: &'a mut OldFile) -> Self {
        Self { tx, file, written: Vec::new(), issues: RowIssues::default(), without_core_settings: Vec::new() }
    }

    /// Writes all tables, as the transaction sees them.
    pub(super) async fn write_all(mut self) -> anyhow::Result<Exported> {
        self.settings().await?;
        self.accounts().await?;
        self.nodes_and_hosts().await?;
        self.traffic().await?;
        let Self { written, issues, without_core_settings, .. } = self;
        Ok(Exported { tables: written, issues, without_core_settings })
    }

    async fn settings(&mut self) -> anyhow::Result<()> {
        let mut said = Vec::new();
        let written = self.table(legacy::SETTINGS, |row: &tables::SettingsRow| {
            let mut row = row.clone();
            rules::translate(&mut row.subscription, |sentence| said.push(sentence));
            rows::settings(&row)
        });
        if written.await? == 0 {
            // The panel has not stored its default settings yet, and Marzneshin needs them.
            let initial = serde_json::to_string(&SubscriptionSettings::initial())?;
            let row = json!({"id": 1, "subscription": initial, "telegram": "null"});
            self.file.insert(legacy::SETTINGS, &[row]).await?;
        }
        for sentence in said {
            self.issues.add_changed(legacy::SETTINGS.name, "1".to_owned(), sentence);
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
        let mut unknown = Vec::new();
        self.table(legacy::INBOUNDS, |row: &tables::InboundRow| {
            let Some(old) = rows::inbound(row) else {
                unknown.push((row.id, row.protocol.clone()));
                return None;
            };
            inbounds.insert(row.id);
            Some(old)
        })
        .await?;
        for (id, protocol) in unknown {
            let reason = format!("the old panel does not know the protocol {protocol:?}");
            self.issues.add_left_out(legacy::INBOUNDS.name, id.to_string(), reason);
        }
        self.table(legacy::INBOUNDS_SERVICES, |row: &tables::InboundServiceRow| {
            inbounds.contains(&row.inbound_id).then(|| rows::inbound_service(row))
        })
        .await?;
        let mut hosts = HashSet::new();
        let (mut without_core_settings, mut without_inbound) = (Vec::new(), Vec::new());
        self.table(legacy::HOSTS, |row: &tables::HostRow| {
            if row.inbound_id.is_some_and(|inbound| !inbounds.contains(&inbound)) {
                without_inbound.push(row.id);
                return None;
            }
            hosts.insert(row.id);
            without_core_settings.extend(row.spec.core_settings.is_some().then_some(row.id));
            Some(rows::host(row))
        })
        .await?;
        for id in without_inbound {
            self.issues.add_left_out(legacy::HOSTS.name, id.to_string(), "its inbound is left out");
        }
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
            let mut rows: Vec<Value> = chunk.iter().filter_map(|row| convert(row).into()).collect();
            for row in &mut rows {
                fit(table.name, row, &mut self.issues);
            }
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
