//! Contents of a database: counts of rows before an import, counts and sums after it.

use sqlx::{query_as, query_scalar};

use super::rows::TableRow;
use crate::store::engine::statement::{db_run, row, statements};
use crate::store::engine::{Statement, StoreError, Tx};

statements! {
    // The node that a migration created counts only if it has been changed.
    CONTENTS =
        "SELECT (SELECT COUNT(*) FROM admins) AS admins,
                (SELECT COUNT(*) FROM services) AS services,
                (SELECT COUNT(*) FROM users) AS users,
                (SELECT COUNT(*) FROM nodes WHERE NOT (name = 'local' AND address = '127.0.0.1' AND port = 53042
                    AND connection_backend = 'grpcio' AND status = 'unhealthy' AND message IS NULL
                    AND last_status_change IS NULL AND certificate_pin IS NULL AND synced_at IS NULL)) AS nodes,
                (SELECT COUNT(*) FROM inbounds) AS inbounds,
                (SELECT COUNT(*) FROM hosts) AS hosts,
                (SELECT COUNT(*) FROM settings) AS settings,
                (SELECT COUNT(*) FROM jwt) AS secrets,
                (SELECT COUNT(*) FROM tls) AS certificates,
                (SELECT COUNT(*) FROM user_usage_hours) + (SELECT COUNT(*) FROM node_usage_hours)
                    + (SELECT COUNT(*) FROM user_usage_days) + (SELECT COUNT(*) FROM node_usage_days)
                    + (SELECT COUNT(*) FROM usage_batch) AS usage_records";
    // Sums of two columns, each in halves of 32 bits, because the sum of extreme numbers would overflow.
    USER_TRAFFIC =
        "SELECT COUNT(*) AS count,
                CAST(COALESCE(SUM(used_traffic >> 32), 0) AS BIGINT) AS first_high,
                CAST(COALESCE(SUM(used_traffic & 4294967295), 0) AS BIGINT) AS first_low,
                CAST(COALESCE(SUM(lifetime_used_traffic >> 32), 0) AS BIGINT) AS second_high,
                CAST(COALESCE(SUM(lifetime_used_traffic & 4294967295), 0) AS BIGINT) AS second_low
         FROM user_traffic";
    USER_HOURS =
        "SELECT COUNT(*) AS count,
                CAST(COALESCE(SUM(counted >> 32), 0) AS BIGINT) AS first_high,
                CAST(COALESCE(SUM(counted & 4294967295), 0) AS BIGINT) AS first_low,
                CAST(COALESCE(SUM(counted >> 32), 0) AS BIGINT) AS second_high,
                CAST(COALESCE(SUM(counted & 4294967295), 0) AS BIGINT) AS second_low
         FROM user_usage_hours";
    NODE_HOURS =
        "SELECT COUNT(*) AS count,
                CAST(COALESCE(SUM(uplink >> 32), 0) AS BIGINT) AS first_high,
                CAST(COALESCE(SUM(uplink & 4294967295), 0) AS BIGINT) AS first_low,
                CAST(COALESCE(SUM(downlink >> 32), 0) AS BIGINT) AS second_high,
                CAST(COALESCE(SUM(downlink & 4294967295), 0) AS BIGINT) AS second_low
         FROM node_usage_hours";
}

row! {
    /// Number of rows of each kind.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Contents {
        /// Admins.
        pub admins: i64,
        /// Services.
        pub services: i64,
        /// Users, removed ones included.
        pub users: i64,
        /// Nodes, except for an unchanged one that a migration created.
        pub nodes: i64,
        /// Inbounds.
        pub inbounds: i64,
        /// Hosts.
        pub hosts: i64,
        /// Rows of settings, at most one.
        pub settings: i64,
        /// Secrets that sign tokens, at most one.
        pub secrets: i64,
        /// Certificates of the panel, at most one.
        pub certificates: i64,
        /// Hours, days and batches of usage.
        pub usage_records: i64,
    }
}

row! {
    struct TotalsRow {
        count: i64,
        first_high: i64,
        first_low: i64,
        second_high: i64,
        second_low: i64,
    }
}

/// The number of a table's rows and the sums of two of its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of rows.
    pub count: i64,
    /// Users: used traffic. Hours of users: counted bytes. Hours of nodes: uplink.
    pub first: i128,
    /// Users: lifetime traffic. Hours of users: counted bytes. Hours of nodes: downlink.
    pub second: i128,
}

/// Returns the number of rows of each kind.
pub async fn contents(tx: &mut Tx) -> Result<Contents, StoreError> {
    db_run!(tx, CONTENTS, |sql, c| query_as::<_, Contents>(sql).fetch_one(c).await)
}

/// Returns the number of rows of a table.
pub async fn count<R: TableRow>(tx: &mut Tx) -> Result<i64, StoreError> {
    db_run!(tx, R::COUNT, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)
}

/// Returns the totals of users' traffic.
pub async fn user_totals(tx: &mut Tx) -> Result<Totals, StoreError> {
    totals(tx, &USER_TRAFFIC).await
}

/// Returns the totals of users' hours.
pub async fn user_hour_totals(tx: &mut Tx) -> Result<Totals, StoreError> {
    totals(tx, &USER_HOURS).await
}

/// Returns the totals of nodes' hours.
pub async fn node_hour_totals(tx: &mut Tx) -> Result<Totals, StoreError> {
    totals(tx, &NODE_HOURS).await
}

async fn totals(tx: &mut Tx, statement: &Statement) -> Result<Totals, StoreError> {
    let row = db_run!(tx, statement, |sql, c| query_as::<_, TotalsRow>(sql).fetch_one(c).await)?;
    let whole = |high: i64, low: i64| (i128::from(high) << 32) + i128::from(low);
    Ok(Totals {
        count: row.count,
        first: whole(row.first_high, row.first_low),
        second: whole(row.second_high, row.second_low),
    })
}

impl Contents {
    /// Describes the contents, one text per kind; empty if there are none.
    pub fn words(&self) -> Vec<String> {
        let kinds = [
            (self.admins, "1 admin", "admins"),
            (self.services, "1 service", "services"),
            (self.users, "1 user", "users"),
            (self.nodes, "1 node", "nodes"),
            (self.inbounds, "1 inbound", "inbounds"),
            (self.hosts, "1 host", "hosts"),
            (self.usage_records, "1 record of usage", "records of usage"),
            (self.settings, "settings", ""),
            (self.secrets, "a secret that signs tokens", ""),
            (self.certificates, "a certificate", ""),
        ];
        let word = |(count, one, many): (i64, &str, &str)| match count {
            0 => None,
            1 => Some(one.to_owned()),
            count => Some(format!("{count} {many}")),
        };
        kinds.into_iter().filter_map(word).collect()
    }
}
