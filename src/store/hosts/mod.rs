//! The tables `hosts`, `hosts_services` and `host_chains`.

pub mod inbounds;
pub mod services;
pub mod subscription_sources;

use std::collections::{HashMap, HashSet};

use serde_json::json;
use sqlx::types::Json;
use sqlx::{query_as, query_scalar};

use crate::domain::host::{Host, HostSpec};
use crate::domain::ids::{HostId, InboundId, ServiceId};
use crate::store::engine::like::containing;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

/// The columns of a host with its services and its inbound's protocol, followed by the rest of the statement.
macro_rules! select {
    (pg $rest:expr) => {
        concat!(
            "SELECT h.id, h.inbound_id, h.is_disabled, h.universal, h.weight, h.spec, i.protocol AS inbound_protocol,
                    ARRAY(SELECT s.service_id FROM hosts_services s WHERE s.host_id = h.id) AS service_ids
             FROM hosts h LEFT JOIN inbounds i ON i.id = h.inbound_id ",
            $rest
        )
    };
    (lite $rest:expr) => {
        concat!(
            "SELECT h.id, h.inbound_id, h.is_disabled, h.universal, h.weight, h.spec, i.protocol AS inbound_protocol,
                    (SELECT json_group_array(s.service_id) FROM hosts_services s WHERE s.host_id = h.id) AS service_ids
             FROM hosts h LEFT JOIN inbounds i ON i.id = h.inbound_id ",
            $rest
        )
    };
}

statements! {
    BY_ID => pg select!(pg "WHERE h.id = $1"), lite select!(lite "WHERE h.id = $1");
    PAGE =>
        pg select!(pg r"WHERE LOWER(h.spec ->> 'remark') LIKE LOWER($1) ESCAPE '\' OR LOWER(h.spec ->> 'address') LIKE LOWER($1) ESCAPE '\'
                            OR LOWER(h.spec ->> 'sni') LIKE LOWER($1) ESCAPE '\' OR LOWER(h.spec ->> 'host') LIKE LOWER($1) ESCAPE '\'
                        ORDER BY h.id LIMIT $2 OFFSET $3"),
        lite select!(lite r"WHERE LOWER(h.spec ->> 'remark') LIKE LOWER($1) ESCAPE '\' OR LOWER(h.spec ->> 'address') LIKE LOWER($1) ESCAPE '\'
                                OR LOWER(h.spec ->> 'sni') LIKE LOWER($1) ESCAPE '\' OR LOWER(h.spec ->> 'host') LIKE LOWER($1) ESCAPE '\'
                            ORDER BY h.id LIMIT $2 OFFSET $3");
    COUNT = r"SELECT COUNT(*) FROM hosts
              WHERE LOWER(spec ->> 'remark') LIKE LOWER($1) ESCAPE '\' OR LOWER(spec ->> 'address') LIKE LOWER($1) ESCAPE '\'
                OR LOWER(spec ->> 'sni') LIKE LOWER($1) ESCAPE '\' OR LOWER(spec ->> 'host') LIKE LOWER($1) ESCAPE '\'";
    PAGE_OF_INBOUND =>
        pg select!(pg "WHERE h.inbound_id = $1 ORDER BY h.id LIMIT $2 OFFSET $3"),
        lite select!(lite "WHERE h.inbound_id = $1 ORDER BY h.id LIMIT $2 OFFSET $3");
    COUNT_OF_INBOUND = "SELECT COUNT(*) FROM hosts WHERE inbound_id = $1";
    CHAINS =>
        pg "SELECT host_id, chained_host_id FROM host_chains WHERE host_id = ANY($1) ORDER BY host_id, seq",
        lite "SELECT host_id, chained_host_id FROM host_chains WHERE host_id IN (SELECT value FROM json_each($1))
            ORDER BY host_id, seq";
    // Nothing is inserted if the inbound does not exist; on PostgreSQL the inbound is locked until the commit.
    INSERT_BOUND =>
        pg "INSERT INTO hosts (inbound_id, is_disabled, universal, weight, spec)
            SELECT id, $2, $3, $4, $5 FROM inbounds WHERE id = $1 FOR KEY SHARE RETURNING id",
        lite "INSERT INTO hosts (inbound_id, is_disabled, universal, weight, spec)
            SELECT id, $2, $3, $4, $5 FROM inbounds WHERE id = $1 RETURNING id";
    INSERT_UNBOUND = "INSERT INTO hosts (is_disabled, universal, weight, spec) VALUES ($1, $2, $3, $4) RETURNING id";
    UPDATE = "UPDATE hosts SET is_disabled = $2, universal = $3, weight = $4, spec = $5 WHERE id = $1";
    // On PostgreSQL the rows are locked in the order of their ids.
    CHANGE =>
        pg "WITH changes AS (
                SELECT h.id, c.weight, c.is_disabled
                FROM json_to_recordset(CAST(CAST($1 AS TEXT) AS JSON)) AS c (id BIGINT, weight BIGINT, is_disabled BOOLEAN)
                JOIN hosts h ON h.id = c.id ORDER BY h.id FOR UPDATE OF h)
            UPDATE hosts SET weight = COALESCE(changes.weight, hosts.weight),
                             is_disabled = COALESCE(changes.is_disabled, hosts.is_disabled)
            FROM changes WHERE changes.id = hosts.id",
        lite "UPDATE hosts SET weight = COALESCE(c.value ->> 'weight', hosts.weight),
                               is_disabled = COALESCE(c.value ->> 'is_disabled', hosts.is_disabled)
              FROM json_each($1) AS c WHERE hosts.id = c.value ->> 'id'";
    // Locked on PostgreSQL, because the update that follows writes the document again.
    LOCK => pg select!(pg "WHERE h.id = $1 FOR UPDATE OF h"), lite select!(lite "WHERE h.id = $1");
    DELETE = "DELETE FROM hosts WHERE id = $1";
    CLEAR_SERVICES = "DELETE FROM hosts_services WHERE host_id = $1";
    ADD_SERVICES =>
        pg "INSERT INTO hosts_services (host_id, service_id)
            SELECT $1, id FROM services WHERE id = ANY($2) ORDER BY id FOR KEY SHARE",
        lite "INSERT INTO hosts_services (host_id, service_id)
            SELECT $1, id FROM services WHERE id IN (SELECT value FROM json_each($2))";
    CLEAR_CHAIN = "DELETE FROM host_chains WHERE host_id = $1";
    ADD_CHAIN =>
        pg "INSERT INTO host_chains (host_id, seq, chained_host_id)
            SELECT $1, seq, h.id FROM json_array_elements_text(CAST(CAST($2 AS TEXT) AS JSON)) WITH ORDINALITY AS link (id, seq)
            JOIN hosts h ON h.id = CAST(link.id AS BIGINT) ORDER BY h.id FOR KEY SHARE OF h",
        lite "INSERT INTO host_chains (host_id, seq, chained_host_id)
            SELECT $1, link.key + 1, h.id FROM json_each($2) AS link JOIN hosts h ON h.id = link.value";
}

/// A host with the protocol of its inbound.
#[derive(Clone, Debug, PartialEq)]
pub struct HostView {
    /// The host.
    pub host: Host,
    /// Protocol of the inbound, if the host has one.
    pub inbound_protocol: Option<String>,
}

/// A change of a host's place in subscriptions. `None` leaves a value as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostChange {
    /// The host.
    pub id: HostId,
    /// The new weight.
    pub weight: Option<i64>,
    /// Left out of subscriptions, or not.
    pub is_disabled: Option<bool>,
}

row! {
    struct HostRow {
        id: i64,
        inbound_id: Option<i64>,
        is_disabled: bool,
        universal: bool,
        weight: i64,
        spec: Json<HostSpec>,
        inbound_protocol: Option<String>,
        service_ids: IdList,
    }
}

/// Returns a host.
pub async fn by_id(db: &Db, id: HostId) -> Result<Option<HostView>, StoreError> {
    let row = db_read!(db, BY_ID, |sql, c| query_as::<_, HostRow>(sql).bind(id.0).fetch_optional(c).await)?;
    Ok(complete(db, row).await?.pop())
}

/// Returns a page of the hosts whose remark, address, SNI or Host header contains `text` in any case, by id.
pub async fn page(db: &Db, text: &str, limit: i64, offset: i64) -> Result<Vec<HostView>, StoreError> {
    let rows = db_read!(db, PAGE, |sql, c| query_as::<_, HostRow>(sql)
        .bind(containing(text))
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)?;
    complete(db, rows).await
}

/// Returns the number of hosts whose remark, address, SNI or Host header contains `text`.
pub async fn count(db: &Db, text: &str) -> Result<i64, StoreError> {
    db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(containing(text)).fetch_one(c).await)
}

/// Returns a page of an inbound's hosts, by id.
pub async fn page_of_inbound(
    db: &Db,
    inbound: InboundId,
    limit: i64,
    offset: i64,
) -> Result<Vec<HostView>, StoreError> {
    let rows = db_read!(db, PAGE_OF_INBOUND, |sql, c| query_as::<_, HostRow>(sql)
        .bind(inbound.0)
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)?;
    complete(db, rows).await
}

/// Returns the number of an inbound's hosts.
pub async fn count_of_inbound(db: &Db, inbound: InboundId) -> Result<i64, StoreError> {
    db_read!(db, COUNT_OF_INBOUND, |sql, c| query_scalar::<_, i64>(sql).bind(inbound.0).fetch_one(c).await)
}

/// Inserts a host and returns its new id. Unknown services and chained hosts are left out, and duplicates are ignored.
/// `None`: the inbound does not exist.
pub async fn insert(tx: &mut Tx, host: &Host) -> Result<Option<HostId>, StoreError> {
    let Host { is_disabled, universal, weight, .. } = *host;
    let spec = Json(&host.spec);
    let id = match host.inbound_id {
        Some(inbound) => db_run!(tx, INSERT_BOUND, |sql, c| query_scalar::<_, i64>(sql)
            .bind(inbound.0)
            .bind(is_disabled)
            .bind(universal)
            .bind(weight)
            .bind(spec)
            .fetch_optional(c)
            .await)?,
        None => db_run!(tx, INSERT_UNBOUND, |sql, c| query_scalar::<_, i64>(sql)
            .bind(is_disabled)
            .bind(universal)
            .bind(weight)
            .bind(spec)
            .fetch_optional(c)
            .await)?,
    };
    let Some(id) = id.map(HostId) else { return Ok(None) };
    add_services(tx, id, &host.service_ids).await?;
    add_chain(tx, id, &host.chain_ids).await?;
    Ok(Some(id))
}

/// Locks a host and returns it. `None`: it does not exist.
pub async fn lock(tx: &mut Tx, id: HostId) -> Result<Option<Host>, StoreError> {
    let row = db_run!(tx, LOCK, |sql, c| query_as::<_, HostRow>(sql).bind(id.0).fetch_optional(c).await)?;
    let Some(row) = row else { return Ok(None) };
    let ids = IdList::new([id.0]);
    let chain = db_run!(tx, CHAINS, |sql, c| query_as::<_, (i64, i64)>(sql).bind(ids).fetch_all(c).await)?;
    let chain_ids = chain.into_iter().map(|(_, next)| HostId(next)).collect();
    Ok(Some(Host { chain_ids, ..HostView::from(row).host }))
}

/// Replaces a host, except for its inbound. False: the host does not exist.
pub async fn update(tx: &mut Tx, host: &Host) -> Result<bool, StoreError> {
    let id = host.id.0;
    let found = db_affected!(tx, UPDATE, id, host.is_disabled, host.universal, host.weight, Json(&host.spec))
        .map(|rows| rows > 0)?;
    if found {
        db_execute!(tx, CLEAR_SERVICES, id)?;
        db_execute!(tx, CLEAR_CHAIN, id)?;
        add_services(tx, host.id, &host.service_ids).await?;
        add_chain(tx, host.id, &host.chain_ids).await?;
    }
    Ok(found)
}

/// Changes hosts, each named once, and returns how many exist.
pub async fn change(tx: &mut Tx, changes: &[HostChange]) -> Result<u64, StoreError> {
    let changes: serde_json::Value = changes
        .iter()
        .map(|change| json!({"id": change.id.0, "weight": change.weight, "is_disabled": change.is_disabled}))
        .collect();
    db_affected!(tx, CHANGE, changes.to_string())
}

/// Deletes a host, also from the chains of other hosts. False: the host does not exist.
pub async fn delete(tx: &mut Tx, id: HostId) -> Result<bool, StoreError> {
    db_affected!(tx, DELETE, id.0).map(|rows| rows > 0)
}

async fn add_services(tx: &mut Tx, host: HostId, services: &[ServiceId]) -> Result<(), StoreError> {
    if services.is_empty() {
        return Ok(());
    }
    let services = IdList::new(services.iter().map(|service| service.0));
    db_execute!(tx, ADD_SERVICES, host.0, services)
}

async fn add_chain(tx: &mut Tx, host: HostId, chain: &[HostId]) -> Result<(), StoreError> {
    if chain.is_empty() {
        return Ok(());
    }
    // A JSON text on both engines, because the order matters and an `IdList` is sorted.
    let mut seen = HashSet::new();
    let links: Vec<i64> = chain.iter().map(|next| next.0).filter(|next| seen.insert(*next)).collect();
    let links = serde_json::Value::from(links).to_string();
    db_execute!(tx, ADD_CHAIN, host.0, links)
}

/// Adds the chains to the hosts.
async fn complete(db: &Db, rows: impl IntoIterator<Item = HostRow>) -> Result<Vec<HostView>, StoreError> {
    let mut hosts: Vec<HostView> = rows.into_iter().map(HostView::from).collect();
    if hosts.is_empty() {
        return Ok(hosts);
    }
    let ids = IdList::new(hosts.iter().map(|view| view.host.id.0));
    let mut chains: HashMap<i64, Vec<HostId>> = HashMap::new();
    for (host, next) in db_read!(db, CHAINS, |sql, c| query_as::<_, (i64, i64)>(sql).bind(ids).fetch_all(c).await)? {
        chains.entry(host).or_default().push(HostId(next));
    }
    for HostView { host, .. } in &mut hosts {
        host.chain_ids = chains.remove(&host.id.0).unwrap_or_default();
    }
    Ok(hosts)
}

impl From<HostRow> for HostView {
    fn from(row: HostRow) -> Self {
        Self {
            host: Host {
                id: HostId(row.id),
                inbound_id: row.inbound_id.map(InboundId),
                is_disabled: row.is_disabled,
                universal: row.universal,
                weight: row.weight,
                spec: row.spec.0,
                service_ids: row.service_ids.as_slice().iter().copied().map(ServiceId).collect(),
                chain_ids: Vec::new(),
            },
            inbound_protocol: row.inbound_protocol,
        }
    }
}
