//! The table `inbounds`, read with nodes and services. Nodes write it when they sync; admins delete absent inbounds.

use sqlx::{query_as, query_scalar};

use crate::domain::ids::{InboundId, NodeId, ServiceId};
use crate::domain::inbound::Inbound;
use crate::domain::moment::Moment;
use crate::domain::node::ConnectionBackend;
use crate::store::engine::like::containing;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

/// The columns of an inbound with its node and services, followed by the rest of the statement.
macro_rules! select {
    (pg $rest:expr) => {
        concat!(
            "SELECT i.id, i.tag, i.protocol, i.config, i.node_id, n.name AS node_name, n.address, n.port,
                    n.connection_backend, n.usage_coefficient, i.absent_since,
                    (SELECT COUNT(*) FROM hosts h WHERE h.inbound_id = i.id) AS host_count,
                    ARRAY(SELECT s.service_id FROM inbounds_services s WHERE s.inbound_id = i.id) AS service_ids
             FROM inbounds i JOIN nodes n ON n.id = i.node_id AND n.deleted_at IS NULL ",
            $rest
        )
    };
    (lite $rest:expr) => {
        concat!(
            "SELECT i.id, i.tag, i.protocol, i.config, i.node_id, n.name AS node_name, n.address, n.port,
                    n.connection_backend, n.usage_coefficient, i.absent_since,
                    (SELECT COUNT(*) FROM hosts h WHERE h.inbound_id = i.id) AS host_count,
                    (SELECT json_group_array(s.service_id) FROM inbounds_services s WHERE s.inbound_id = i.id)
                        AS service_ids
             FROM inbounds i JOIN nodes n ON n.id = i.node_id AND n.deleted_at IS NULL ",
            $rest
        )
    };
}

statements! {
    BY_ID => pg select!(pg "WHERE i.id = $1"), lite select!(lite "WHERE i.id = $1");
    PAGE =>
        pg select!(pg r"WHERE LOWER(i.tag) LIKE LOWER($1) ESCAPE '\' ORDER BY i.id LIMIT $2 OFFSET $3"),
        lite select!(lite r"WHERE LOWER(i.tag) LIKE LOWER($1) ESCAPE '\' ORDER BY i.id LIMIT $2 OFFSET $3");
    COUNT = r"SELECT COUNT(*) FROM inbounds i JOIN nodes n ON n.id = i.node_id AND n.deleted_at IS NULL
              WHERE LOWER(i.tag) LIKE LOWER($1) ESCAPE '\'";
    PAGE_OF_SERVICE =>
        pg select!(pg "JOIN inbounds_services g ON g.inbound_id = i.id AND g.service_id = $1
                       ORDER BY i.id LIMIT $2 OFFSET $3"),
        lite select!(lite "JOIN inbounds_services g ON g.inbound_id = i.id AND g.service_id = $1
                           ORDER BY i.id LIMIT $2 OFFSET $3");
    COUNT_OF_SERVICE =
        "SELECT COUNT(*) FROM inbounds_services g JOIN inbounds i ON i.id = g.inbound_id
         JOIN nodes n ON n.id = i.node_id AND n.deleted_at IS NULL WHERE g.service_id = $1";
    EXISTS = "SELECT EXISTS (SELECT 1 FROM inbounds WHERE id = $1)";
    IS_ABSENT =>
        pg "SELECT absent_since IS NOT NULL FROM inbounds WHERE id = $1 FOR UPDATE",
        lite "SELECT absent_since IS NOT NULL FROM inbounds WHERE id = $1";
    DELETE = "DELETE FROM inbounds WHERE id = $1";
    ABSENT =>
        pg "SELECT ARRAY(SELECT id FROM inbounds WHERE node_id = $1 AND absent_since IS NOT NULL)",
        lite "SELECT json_group_array(id) FROM inbounds WHERE node_id = $1 AND absent_since IS NOT NULL";
    DELETE_ABSENT =>
        pg "DELETE FROM inbounds WHERE id IN
                (SELECT id FROM inbounds WHERE id = ANY($1) AND absent_since IS NOT NULL ORDER BY id FOR UPDATE)",
        lite "DELETE FROM inbounds WHERE id IN (SELECT value FROM json_each($1)) AND absent_since IS NOT NULL";
}

/// An inbound with its node and services.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundView {
    /// The inbound.
    pub inbound: Inbound,
    /// Node of the inbound.
    pub node: InboundNode,
    /// Services with this inbound, by id.
    pub service_ids: Vec<ServiceId>,
    /// When the node first did not report the inbound any more. `None`: the node reports it.
    pub absent_since: Option<Moment>,
    /// Number of its hosts, disabled ones included.
    pub host_count: i64,
}

/// The node of an inbound.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundNode {
    /// Id of the node.
    pub id: NodeId,
    /// Unique name.
    pub name: String,
    /// Host name or address.
    pub address: String,
    /// TCP port.
    pub port: i64,
    /// Protocol of the connection to the node.
    pub connection_backend: ConnectionBackend,
    /// Factor by which users' bytes are multiplied.
    pub usage_coefficient: f64,
}

row! {
    struct InboundRow {
        id: i64,
        tag: String,
        protocol: String,
        config: String,
        node_id: i64,
        node_name: String,
        address: String,
        port: i64,
        connection_backend: ConnectionBackend,
        usage_coefficient: f64,
        service_ids: IdList,
        absent_since: Option<i64>,
        host_count: i64,
    }
}

/// Returns an inbound.
pub async fn by_id(db: &Db, id: InboundId) -> Result<Option<InboundView>, StoreError> {
    db_read!(db, BY_ID, |sql, c| query_as::<_, InboundRow>(sql).bind(id.0).fetch_optional(c).await)
        .map(|row| row.map(InboundView::from))
}

/// Returns the inbounds whose tag contains `tag` in any case, with `%` and `_` as wildcards, by id.
pub async fn page(db: &Db, tag: &str, limit: i64, offset: i64) -> Result<Vec<InboundView>, StoreError> {
    db_read!(db, PAGE, |sql, c| query_as::<_, InboundRow>(sql)
        .bind(containing(tag))
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)
    .map(views)
}

/// Returns the number of inbounds whose tag contains `tag`.
pub async fn count(db: &Db, tag: &str) -> Result<i64, StoreError> {
    db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(containing(tag)).fetch_one(c).await)
}

/// Returns the inbounds of a service, by id.
pub async fn page_of_service(
    db: &Db,
    service: ServiceId,
    limit: i64,
    offset: i64,
) -> Result<Vec<InboundView>, StoreError> {
    db_read!(db, PAGE_OF_SERVICE, |sql, c| query_as::<_, InboundRow>(sql)
        .bind(service.0)
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)
    .map(views)
}

/// Returns the number of inbounds of a service.
pub async fn count_of_service(db: &Db, service: ServiceId) -> Result<i64, StoreError> {
    db_read!(db, COUNT_OF_SERVICE, |sql, c| query_scalar::<_, i64>(sql).bind(service.0).fetch_one(c).await)
}

/// True if the inbound exists.
pub async fn exists(db: &Db, id: InboundId) -> Result<bool, StoreError> {
    db_read!(db, EXISTS, |sql, c| query_scalar::<_, bool>(sql).bind(id.0).fetch_one(c).await)
}

/// True if an inbound is absent, which is locked until the end of the transaction. `None`: it does not exist.
pub async fn is_absent(tx: &mut Tx, id: InboundId) -> Result<Option<bool>, StoreError> {
    db_run!(tx, IS_ABSENT, |sql, c| query_scalar::<_, bool>(sql).bind(id.0).fetch_optional(c).await)
}

/// Deletes an inbound with its hosts, also from services.
pub async fn delete(tx: &mut Tx, id: InboundId) -> Result<(), StoreError> {
    db_execute!(tx, DELETE, id.0)
}

/// Returns the absent inbounds of a node.
pub async fn absent(db: &Db, node: NodeId) -> Result<IdList, StoreError> {
    db_read!(db, ABSENT, |sql, c| query_scalar::<_, IdList>(sql).bind(node.0).fetch_one(c).await)
}

/// Deletes those of these inbounds that are absent, with their hosts, also from services. Returns their number.
pub async fn delete_absent(tx: &mut Tx, ids: &IdList) -> Result<u64, StoreError> {
    db_affected!(tx, DELETE_ABSENT, ids.clone())
}

fn views(rows: Vec<InboundRow>) -> Vec<InboundView> {
    rows.into_iter().map(InboundView::from).collect()
}

impl From<InboundRow> for InboundView {
    fn from(row: InboundRow) -> Self {
        let node_id = NodeId(row.node_id);
        Self {
            inbound: Inbound {
                id: InboundId(row.id),
                node_id,
                tag: row.tag,
                protocol: row.protocol,
                config: row.config,
            },
            node: InboundNode {
                id: node_id,
                name: row.node_name,
                address: row.address,
                port: row.port,
                connection_backend: row.connection_backend,
                usage_coefficient: row.usage_coefficient,
            },
            service_ids: row.service_ids.as_slice().iter().copied().map(ServiceId).collect(),
            absent_since: row.absent_since.map(Moment::from_micros),
            host_count: row.host_count,
        }
    }
}
