//! Copies table after table, in the order in which rows refer to each other.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, future};

use super::findings::Findings;
use super::progress::Progress;
use super::reading::Reading;
use super::sample::Sample;
use super::usage::NodeHours;
use super::{fleet, hosts, people, settings, usage};
use crate::domain::moment::Moment;
use crate::store::import::legacy;
use crate::store::import::legacy::{OldRow, OldTable, Source};
use crate::store::import::tables;
use crate::store::import::tables::{
    AdminServiceRow, HostChainRow, HostServiceRow, InboundServiceRow, TableRow, UserServiceRow,
};
use crate::store::{StoreError, Tx};

/// Rows of one statement.
const CHUNK: usize = 5_000;

/// Where rows go.
pub(super) enum Target<'a> {
    /// Nowhere: only what would happen is wanted.
    Nowhere,
    /// Into an open transaction.
    Database(&'a mut Tx),
}

impl Target<'_> {
    async fn put<R: TableRow>(&mut self, rows: &[R]) -> Result<(), StoreError> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Database(tx) => tables::insert(tx, rows).await,
        }
    }
}

/// What one old table became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    /// The old table.
    pub table: &'static str,
    /// Rows that it had.
    pub old: i64,
    /// Rows that were copied.
    pub copied: i64,
}

/// What was copied.
pub(super) struct Outcome {
    pub tables: Vec<Copied>,
    pub findings: Findings,
    pub sample: Sample,
    pub sums: Sums,
    /// Hours of nodes, in rows of the new database.
    pub node_hours: i64,
}

/// The traffic that was read, as it should be found again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub used: i128,
    pub lifetime: i128,
    pub counted: i128,
    pub uplink: i128,
    pub downlink: i128,
}

/// The ids that came, for what refers to them.
#[derive(Default)]
struct Known {
    admins: HashSet<i64>,
    services: HashSet<i64>,
    users: HashSet<i64>,
    nodes: HashSet<i64>,
    engines: HashSet<(i64, String)>,
    inbounds: HashSet<i64>,
    hosts: HashSet<i64>,
}

/// Reads all tables and writes them to `target`.
pub(super) async fn copy(source: &mut Source, target: Target<'_>, now: Moment) -> anyhow::Result<Outcome> {
    let mut total = 0;
    for table in TABLES {
        total += source.count(table).await?;
    }
    let sample = Sample::of(source.count(legacy::USERS).await?);
    let progress = Progress::new(total);
    let outcome =
        Outcome { tables: Vec::new(), findings: Findings::default(), sample, sums: Sums::default(), node_hours: 0 };
    let mut copying = Copying { source, target, progress, outcome, known: Known::default(), now };
    copying.people().await?;
    copying.fleet().await?;
    copying.traffic().await?;
    copying.progress.end();
    Ok(copying.outcome)
}

const TABLES: [&OldTable; 17] = [
    legacy::SETTINGS,
    legacy::JWT,
    legacy::TLS,
    legacy::ADMINS,
    legacy::SERVICES,
    legacy::ADMINS_SERVICES,
    legacy::USERS,
    legacy::USERS_SERVICES,
    legacy::NODES,
    legacy::BACKENDS,
    legacy::INBOUNDS,
    legacy::INBOUNDS_SERVICES,
    legacy::HOSTS,
    legacy::HOSTS_SERVICES,
    legacy::HOST_CHAINS,
    legacy::NODE_USAGES,
    legacy::NODE_USER_USAGES,
];

struct Copying<'a> {
    source: &'a mut Source,
    target: Target<'a>,
    progress: Progress,
    outcome: Outcome,
    known: Known,
    now: Moment,
}

impl Copying<'_> {
    async fn people(&mut self) -> anyhow::Result<()> {
        let now = self.now;
        self.only(legacy::SETTINGS, settings::settings).await?;
        self.only(legacy::JWT, settings::jwt).await?;
        self.only(legacy::TLS, settings::tls).await?;
        self.table(legacy::ADMINS, &["id"], |row, known, _| {
            let admin = people::admin(row, now)?;
            known.admins.insert(admin.id);
            Some(admin)
        })
        .await?;
        self.table(legacy::SERVICES, &["id"], |row, known, _| {
            let service = people::service(row)?;
            known.services.insert(service.id);
            Some(service)
        })
        .await?;
        self.table(legacy::ADMINS_SERVICES, &["admin_id", "service_id"], |row, known, _| {
            let (admin_id, service_id) = pair(row, ("admin_id", &known.admins), ("service_id", &known.services))?;
            Some(AdminServiceRow { admin_id, service_id })
        })
        .await?;
        self.users().await?;
        self.table(legacy::USERS_SERVICES, &["user_id", "service_id"], |row, known, sample| {
            let (user_id, service_id) = pair(row, ("user_id", &known.users), ("service_id", &known.services))?;
            sample.user_service(user_id, service_id);
            Some(UserServiceRow { user_id, service_id })
        })
        .await
    }

    async fn users(&mut self) -> anyhow::Result<()> {
        let now = self.now;
        let (target, known) = (&mut self.target, &mut self.known);
        let Outcome { tables, findings, sample, sums, .. } = &mut self.outcome;
        let mut table = Copied { table: legacy::USERS.name, old: 0, copied: 0 };
        let mut chunks = self.source.rows(legacy::USERS).try_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| error.1)?;
            let (mut accounts, mut traffic, mut fetches) = (Vec::new(), Vec::new(), Vec::new());
            for row in &chunk {
                let mut row = Reading::new(row, legacy::USERS.name, &["id"], findings);
                let Some(user) = people::user(&mut row, |admin| known.admins.contains(&admin), now) else { continue };
                known.users.insert(user.account.id);
                sums.used += i128::from(user.traffic.used_traffic);
                sums.lifetime += i128::from(user.traffic.lifetime_used_traffic);
                sample.user(&user);
                accounts.push(user.account);
                traffic.push(user.traffic);
                fetches.extend(user.fetch);
            }
            target.put(&accounts).await?;
            target.put(&traffic).await?;
            target.put(&fetches).await?;
            table.add(chunk.len(), accounts.len());
            self.progress.advance(table.table, chunk.len());
        }
        tables.push(table);
        Ok(())
    }

    async fn fleet(&mut self) -> anyhow::Result<()> {
        let now = self.now;
        if let Target::Database(tx) = &mut self.target {
            tables::remove_local_node(tx).await?;
        }
        self.table(legacy::NODES, &["id"], |row, known, _| {
            let node = fleet::node(row, now)?;
            known.nodes.insert(node.id);
            Some(node)
        })
        .await?;
        self.table(legacy::BACKENDS, &["id"], |row, known, _| {
            let backend = fleet::backend(row, |node| known.nodes.contains(&node))?;
            if !known.engines.insert((backend.node_id, backend.name.clone())) {
                return row.left_out("its node has another engine of that name");
            }
            Some(backend)
        })
        .await?;
        self.table(legacy::INBOUNDS, &["id"], |row, known, sample| {
            let inbound = fleet::inbound(row, |node| known.nodes.contains(&node))?;
            known.inbounds.insert(inbound.id);
            sample.inbound(&inbound);
            Some(inbound)
        })
        .await?;
        self.table(legacy::INBOUNDS_SERVICES, &["inbound_id", "service_id"], |row, known, sample| {
            let (inbound_id, service_id) = pair(row, ("inbound_id", &known.inbounds), ("service_id", &known.services))?;
            sample.inbound_service(inbound_id, service_id);
            Some(InboundServiceRow { inbound_id, service_id })
        })
        .await?;
        self.table(legacy::HOSTS, &["id"], |row, known, sample| {
            let host = hosts::host(row, |inbound| known.inbounds.contains(&inbound))?;
            known.hosts.insert(host.id);
            sample.host(&host);
            Some(host)
        })
        .await?;
        self.table(legacy::HOSTS_SERVICES, &["host_id", "service_id"], |row, known, sample| {
            let (host_id, service_id) = pair(row, ("host_id", &known.hosts), ("service_id", &known.services))?;
            sample.host_service(host_id, service_id);
            Some(HostServiceRow { host_id, service_id })
        })
        .await?;
        self.table(legacy::HOST_CHAINS, &["host_id", "seq"], |row, known, sample| {
            let (host_id, next) = pair(row, ("host_id", &known.hosts), ("chained_host_id", &known.hosts))?;
            let seq = row.integer("seq")?;
            sample.chain(host_id, seq, next);
            Some(HostChainRow { host_id, seq, chained_host_id: next })
        })
        .await
    }

    async fn traffic(&mut self) -> anyhow::Result<()> {
        let (target, known) = (&mut self.target, &self.known);
        let Outcome { tables, findings, sums, node_hours, .. } = &mut self.outcome;
        let mut hours = NodeHours::default();

        let mut table = Copied { table: legacy::NODE_USAGES.name, old: 0, copied: 0 };
        let mut chunks = self.source.rows(legacy::NODE_USAGES).try_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| error.1)?;
            let mut copied = 0;
            for row in &chunk {
                let mut row = Reading::new(row, legacy::NODE_USAGES.name, &["id"], findings);
                let Some((uplink, downlink)) = hours.add(&mut row, |node| known.nodes.contains(&node)) else {
                    continue;
                };
                sums.uplink += i128::from(uplink);
                sums.downlink += i128::from(downlink);
                copied += 1;
            }
            table.add(chunk.len(), copied);
            self.progress.advance(table.table, chunk.len());
        }
        drop(chunks);
        tables.push(table);

        let mut table = Copied { table: legacy::NODE_USER_USAGES.name, old: 0, copied: 0 };
        let progress = &mut self.progress;
        let mut chunks = self.source.rows(legacy::NODE_USER_USAGES).try_chunks(CHUNK).map(|chunk| {
            let chunk = chunk.map_err(|error| error.1)?;
            let mut rows = Vec::with_capacity(chunk.len());
            for row in &chunk {
                let mut row = Reading::new(row, legacy::NODE_USER_USAGES.name, &["id"], findings);
                let has_user = |user| known.users.contains(&user);
                rows.extend(usage::user_hour(&mut row, has_user, |node| known.nodes.contains(&node)));
            }
            table.add(chunk.len(), rows.len());
            for row in &rows {
                sums.counted += i128::from(row.counted);
                hours.count(row);
            }
            progress.advance(table.table, chunk.len());
            anyhow::Ok(rows)
        });
        match target {
            Target::Database(tx) => tables::load_user_hours(tx, &mut chunks).await?,
            Target::Nowhere => (&mut chunks).try_for_each(|_| future::ready(Ok(()))).await?,
        }
        drop(chunks);
        tables.push(table);

        let rows = hours.into_rows();
        *node_hours = i64::try_from(rows.len())?;
        for chunk in rows.chunks(CHUNK) {
            target.put(chunk).await?;
        }
        Ok(())
    }

    /// A table whose rows become rows of one table.
    async fn table<R: TableRow>(
        &mut self,
        table: &'static OldTable,
        keys: &[&str],
        mut convert: impl FnMut(&mut Reading<'_>, &mut Known, &mut Sample) -> Option<R>,
    ) -> anyhow::Result<()> {
        let (target, known) = (&mut self.target, &mut self.known);
        let Outcome { tables, findings, sample, .. } = &mut self.outcome;
        let mut copied = Copied { table: table.name, old: 0, copied: 0 };
        let mut chunks = self.source.rows(table).try_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let chunk: Vec<OldRow> = chunk.map_err(|error| error.1)?;
            let mut read = |row| convert(&mut Reading::new(row, table.name, keys, findings), known, sample);
            let rows: Vec<R> = chunk.iter().filter_map(&mut read).collect();
            target.put(&rows).await?;
            copied.add(chunk.len(), rows.len());
            self.progress.advance(table.name, chunk.len());
        }
        tables.push(copied);
        Ok(())
    }

    /// A table that has one row: the first one counts, as it always has.
    async fn only<R: TableRow>(
        &mut self,
        table: &'static OldTable,
        convert: impl Fn(&mut Reading<'_>) -> Option<R>,
    ) -> anyhow::Result<()> {
        let mut seen = false;
        self.table(table, &["id"], |row, _, _| {
            if seen {
                return row.left_out("only the first row of this table was ever used");
            }
            let converted = convert(row);
            seen = converted.is_some();
            converted
        })
        .await
    }
}

impl Copied {
    fn add(&mut self, old: usize, copied: usize) {
        self.old += i64::try_from(old).unwrap_or(i64::MAX);
        self.copied += i64::try_from(copied).unwrap_or(i64::MAX);
    }
}

/// Two ids that both came.
fn pair(row: &mut Reading<'_>, first: (&str, &HashSet<i64>), second: (&str, &HashSet<i64>)) -> Option<(i64, i64)> {
    let mut one = |(column, known): (&str, &HashSet<i64>)| match row.integer(column) {
        Some(id) if known.contains(&id) => Some(id),
        _ => row.left_out(format!("{column} names nothing that is there")),
    };
    Some((one(first)?, one(second)?))
}
