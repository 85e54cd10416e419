//! Compares the new database with the old rows: row counts, sums of traffic, and a sample of users with their links.

use std::collections::HashMap;

use serde::Serialize;

use super::outcome::{Outcome, TableCounts};
use super::sample::LinkRenderer;
use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::domain::user::User;
use crate::store::hosts::subscription_sources;
use crate::store::import::legacy;
use crate::store::import::legacy::OldTable;
use crate::store::import::tables;
use crate::store::import::tables::TableRow;
use crate::store::{Tx, users};

/// A comparison of two numbers.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// Name of the compared number.
    pub what: String,
    /// The number according to the old rows.
    pub expected: i128,
    /// The number in the new database.
    pub found: i128,
}

impl Check {
    fn new(what: impl Into<String>, expected: impl Into<i128>, found: impl Into<i128>) -> Self {
        Self { what: what.into(), expected: expected.into(), found: found.into() }
    }

    pub(super) const fn holds(&self) -> bool {
        self.expected == self.found
    }
}

/// Makes all comparisons, inside the transaction that wrote the rows.
pub(super) async fn verify(tx: &mut Tx, outcome: &Outcome, now: Moment) -> anyhow::Result<Vec<Check>> {
    let mut counts = Counts { tables: outcome.tables.iter().map(|it| (it.table, *it)).collect(), checks: Vec::new() };
    counts.compare::<tables::AdminRow>(tx, legacy::ADMINS).await?;
    counts.compare::<tables::ServiceRow>(tx, legacy::SERVICES).await?;
    counts.compare::<tables::AdminServiceRow>(tx, legacy::ADMINS_SERVICES).await?;
    counts.compare::<tables::UserRow>(tx, legacy::USERS).await?;
    counts.compare::<tables::UserServiceRow>(tx, legacy::USERS_SERVICES).await?;
    counts.compare::<tables::NodeRow>(tx, legacy::NODES).await?;
    counts.compare::<tables::BackendRow>(tx, legacy::BACKENDS).await?;
    counts.compare::<tables::InboundRow>(tx, legacy::INBOUNDS).await?;
    counts.compare::<tables::InboundServiceRow>(tx, legacy::INBOUNDS_SERVICES).await?;
    counts.compare::<tables::HostRow>(tx, legacy::HOSTS).await?;
    counts.compare::<tables::HostServiceRow>(tx, legacy::HOSTS_SERVICES).await?;
    counts.compare::<tables::HostChainRow>(tx, legacy::HOST_CHAINS).await?;
    counts.compare::<tables::SettingsRow>(tx, legacy::SETTINGS).await?;
    counts.compare::<tables::JwtRow>(tx, legacy::JWT).await?;
    counts.compare::<tables::TlsRow>(tx, legacy::TLS).await?;
    let mut checks = counts.checks;

    let (sums, totals) = (outcome.sums, tables::user_totals(tx).await?);
    checks.push(Check::new("used traffic of users, bytes", sums.used, totals.first));
    checks.push(Check::new("lifetime traffic of users, bytes", sums.lifetime, totals.second));
    let totals = tables::user_hour_totals(tx).await?;
    checks.push(Check::new("hourly traffic of users, bytes", sums.counted, totals.first));
    let totals = tables::node_hour_totals(tx).await?;
    checks.push(Check::new("hourly traffic of nodes, rows", outcome.node_hours, totals.count));
    checks.push(Check::new("hourly upload of nodes, bytes", sums.uplink, totals.first));
    checks.push(Check::new("hourly download of nodes, bytes", sums.downlink, totals.second));
    checks.extend(compare_sample(tx, outcome, now).await?);
    Ok(checks)
}

/// Compares the users of the sample, and their links.
async fn compare_sample(tx: &mut Tx, outcome: &Outcome, now: Moment) -> anyhow::Result<[Check; 2]> {
    let (users, hosts) = outcome.sample.users_and_hosts();
    let before = LinkRenderer::new(hosts, now);
    let after = LinkRenderer::new(subscription_sources::hosts_within(tx).await?, now);
    let (mut same_users, mut links, mut same_links) = (0, 0, 0);
    for user in &users {
        let expected = before.render(user);
        links += expected.lines().count();
        let Some(found) = users::by_id(tx, UserId(user.id.0)).await? else { continue };
        let found = User { owner: None, ..found };
        same_users += usize::from(found == *user);
        let found = after.render(&found);
        same_links += expected.lines().zip(found.lines()).filter(|(one, other)| one == other).count();
    }
    Ok([
        Check::new("equal users in a sample", i64::try_from(users.len())?, i64::try_from(same_users)?),
        Check::new("equal links in the sample", i64::try_from(links)?, i64::try_from(same_links)?),
    ])
}

struct Counts {
    tables: HashMap<&'static str, TableCounts>,
    checks: Vec<Check>,
}

impl Counts {
    async fn compare<R: TableRow>(&mut self, tx: &mut Tx, table: &OldTable) -> anyhow::Result<()> {
        let expected = self.tables.get(table.name).map_or(0, |table| table.copied);
        self.checks.push(Check::new(table.name, expected, tables::count::<R>(tx).await?));
        Ok(())
    }
}
