//! The tables `nodes` and `backends` as admins read and write them. `sync_state` writes what nodes report.

pub mod doubt;
pub mod edit_lock;
pub mod engine_changes;
pub mod engine_configs;
pub mod engines;
pub mod expected_users;
pub mod healing;
pub mod hold;
pub mod offers;
pub mod statistics;
pub mod sync_progress;
pub mod sync_state;
pub mod tls_material;

use std::collections::HashMap;

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::ids::{InboundId, NodeId};
use crate::domain::moment::Moment;
use crate::domain::node::{Backend, ConnectionBackend, Node, NodeStatus};
use crate::domain::node_edit::NewNode;
use crate::store::engine::like::containing;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

/// The columns of a node's row, followed by the rest of the statement.
macro_rules! select {
    (pg $rest:literal) => {
        concat!(
            "SELECT id, name, address, port, connection_backend, usage_coefficient, status, message, xray_version, healed_at,
                    ARRAY(SELECT i.id FROM inbounds i WHERE i.node_id = nodes.id) AS inbound_ids FROM nodes ",
            $rest
        )
    };
    (lite $rest:literal) => {
        concat!(
            "SELECT id, name, address, port, connection_backend, usage_coefficient, status, message, xray_version, healed_at,
                    (SELECT json_group_array(i.id) FROM inbounds i WHERE i.node_id = nodes.id) AS inbound_ids
             FROM nodes ",
            $rest
        )
    };
}

/// The columns of a list of nodes.
macro_rules! shown {
    () => {
        r"WHERE LOWER(name) LIKE LOWER($1) ESCAPE '\' AND status IN ($2, $3, $4) AND deleted_at IS NULL"
    };
}

statements! {
    BY_ID => pg select!(pg "WHERE id = $1 AND deleted_at IS NULL"), lite select!(lite "WHERE id = $1 AND deleted_at IS NULL");
    LOCK_BY_ID =>
        pg select!(pg "WHERE id = $1 AND deleted_at IS NULL FOR UPDATE"),
        lite select!(lite "WHERE id = $1 AND deleted_at IS NULL");
    PAGE =>
        pg concat!(select!(pg ""), shown!(), " ORDER BY id LIMIT $5 OFFSET $6"),
        lite concat!(select!(lite ""), shown!(), " ORDER BY id LIMIT $5 OFFSET $6");
    COUNT = concat!("SELECT COUNT(*) FROM nodes ", shown!());
    BACKENDS =>
        pg "SELECT node_id, name, backend_type, version, running FROM backends WHERE node_id = ANY($1)
            ORDER BY node_id, name",
        lite "SELECT node_id, name, backend_type, version, running FROM backends
              WHERE node_id IN (SELECT value FROM json_each($1)) ORDER BY node_id, name";
    INSERT =
        "INSERT INTO nodes (name, address, port, connection_backend, usage_coefficient, status, last_status_change,
                            created_at, sync_request)
         VALUES ($1, $2, $3, $4, $5, 'unhealthy', $6, $6, $7) RETURNING id";
    // A certificate is pinned for an address and a port; when they change, the pin is cleared, and what is known of the old node.
    UPDATE =
        "UPDATE nodes SET name = $2, address = $3, port = $4, connection_backend = $5, usage_coefficient = $6,
                          last_status_change = CASE WHEN status = $7 THEN last_status_change ELSE $10 END,
                          status = $7, message = $8, xray_version = $9,
                          certificate_pin = CASE WHEN address = $3 AND port = $4 THEN certificate_pin END,
                          refused_since = CASE WHEN address = $3 AND port = $4 THEN refused_since END,
                          doubtful_users = CASE WHEN address = $3 AND port = $4 THEN doubtful_users END,
                          sync_request = $11
         WHERE id = $1";
    RESYNC = "UPDATE nodes SET sync_request = $2 WHERE id = $1 AND deleted_at IS NULL";
    REPIN = "UPDATE nodes SET certificate_pin = NULL, sync_request = $2 WHERE id = $1 AND deleted_at IS NULL";
    // Its name and address are free at once.
    HIDE = "UPDATE nodes SET deleted_at = $2, status = 'disabled', name = $3, address = $3, message = NULL
         WHERE id = $1 AND deleted_at IS NULL";
    HIDDEN = "SELECT MIN(id) FROM nodes WHERE deleted_at IS NOT NULL";
    DELETE_HOSTS =>
        pg "DELETE FROM hosts WHERE id IN
                (SELECT h.id FROM hosts h JOIN inbounds i ON i.id = h.inbound_id WHERE i.node_id = $1
                 ORDER BY h.id LIMIT $2 FOR UPDATE OF h)",
        lite "DELETE FROM hosts WHERE id IN
                (SELECT h.id FROM hosts h JOIN inbounds i ON i.id = h.inbound_id WHERE i.node_id = $1 LIMIT $2)";
    DELETE_INBOUNDS =>
        pg "DELETE FROM inbounds WHERE id IN
                (SELECT id FROM inbounds WHERE node_id = $1 ORDER BY id LIMIT $2 FOR UPDATE)",
        lite "DELETE FROM inbounds WHERE id IN (SELECT id FROM inbounds WHERE node_id = $1 LIMIT $2)";
    DELETE = "DELETE FROM nodes WHERE id = $1 AND deleted_at IS NOT NULL";
}

/// Hosts, and inbounds, of a deleted node that one transaction deletes: well below 250 ms on SQLite.
const DELETED_AT_ONCE: i64 = 2_000;

/// Filter of a list of nodes.
#[derive(Clone, Debug, Default)]
pub struct NodeFilter {
    /// Part of the name in any case, with `%` and `_` as wildcards; empty: every name.
    pub name: String,
    /// Statuses; empty: every status.
    pub statuses: Vec<NodeStatus>,
}

row! {
    struct NodeRow {
        id: i64,
        name: String,
        address: String,
        port: i64,
        connection_backend: ConnectionBackend,
        usage_coefficient: f64,
        status: NodeStatus,
        message: Option<String>,
        xray_version: Option<String>,
        healed_at: Option<i64>,
        inbound_ids: IdList,
    }
}

row! {
    struct BackendRow {
        node_id: i64,
        name: String,
        backend_type: String,
        version: Option<String>,
        running: bool,
    }
}

impl NodeFilter {
    /// Returns the statuses, repeated to fill one bind per existing status.
    fn statuses(&self) -> [NodeStatus; 3] {
        let all = [NodeStatus::Healthy, NodeStatus::Unhealthy, NodeStatus::Disabled];
        match self.statuses.first() {
            Some(first) => all.map(|status| if self.statuses.contains(&status) { status } else { *first }),
            None => all,
        }
    }
}

impl From<NodeRow> for Node {
    fn from(row: NodeRow) -> Self {
        Self {
            id: NodeId(row.id),
            name: row.name,
            address: row.address,
            port: row.port,
            connection_backend: row.connection_backend,
            usage_coefficient: row.usage_coefficient,
            status: row.status,
            message: row.message,
            xray_version: row.xray_version,
            healed_at: row.healed_at.map(Moment::from_micros),
            inbound_ids: row.inbound_ids.as_slice().iter().copied().map(InboundId).collect(),
            backends: Vec::new(),
        }
    }
}

/// Returns a node with its engines.
pub async fn by_id(db: &Db, id: NodeId) -> Result<Option<Node>, StoreError> {
    let row = db_read!(db, BY_ID, |sql, c| query_as::<_, NodeRow>(sql).bind(id.0).fetch_optional(c).await)?;
    Ok(complete(db, row).await?.pop())
}

/// Returns a page of the nodes that match a filter, by id.
pub async fn page(db: &Db, filter: &NodeFilter, limit: i64, offset: i64) -> Result<Vec<Node>, StoreError> {
    let [first, second, third] = filter.statuses();
    let rows = db_read!(db, PAGE, |sql, c| query_as::<_, NodeRow>(sql)
        .bind(containing(&filter.name))
        .bind(first)
        .bind(second)
        .bind(third)
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)?;
    complete(db, rows).await
}

/// Returns the number of nodes that match a filter.
pub async fn count(db: &Db, filter: &NodeFilter) -> Result<i64, StoreError> {
    let [first, second, third] = filter.statuses();
    db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql)
        .bind(containing(&filter.name))
        .bind(first)
        .bind(second)
        .bind(third)
        .fetch_one(c)
        .await)
}

/// Returns a node without its engines, and locks it until the end of the transaction, so that two admins' changes to
/// different fields are both kept.
pub async fn lock(tx: &mut Tx, id: NodeId) -> Result<Option<Node>, StoreError> {
    db_run!(tx, LOCK_BY_ID, |sql, c| query_as::<_, NodeRow>(sql).bind(id.0).fetch_optional(c).await)
        .map(|row| row.map(Node::from))
}

/// Inserts a node. A name, or an address and port, that is taken is a [`Fault::Unique`](super::Fault).
pub async fn insert(tx: &mut Tx, node: &NewNode, now: Moment) -> Result<NodeId, StoreError> {
    db_run!(tx, INSERT, |sql, c| query_scalar::<_, i64>(sql)
        .bind(&node.name)
        .bind(&node.address)
        .bind(node.port)
        .bind(node.connection_backend)
        .bind(node.usage_coefficient)
        .bind(now.micros())
        .bind(Uuid::now_v7())
        .fetch_one(c)
        .await)
    .map(NodeId)
}

/// Updates what an admin may change, and requests a new connection with a full sync.
pub async fn update(tx: &mut Tx, node: &Node, now: Moment) -> Result<(), StoreError> {
    db_execute!(
        tx,
        UPDATE,
        node.id.0,
        &node.name,
        &node.address,
        node.port,
        node.connection_backend,
        node.usage_coefficient,
        node.status,
        &node.message,
        &node.xray_version,
        now.micros(),
        Uuid::now_v7()
    )
}

/// Requests a full sync. False: the node does not exist.
pub async fn request_sync(tx: &mut Tx, id: NodeId) -> Result<bool, StoreError> {
    let request = Uuid::now_v7();
    db_affected!(tx, RESYNC, id.0, request).map(|rows| rows > 0)
}

/// Clears the pinned certificate and requests a new connection with a full sync. False: the node does not exist.
pub async fn forget_pin(tx: &mut Tx, id: NodeId) -> Result<bool, StoreError> {
    let request = Uuid::now_v7();
    db_affected!(tx, REPIN, id.0, request).map(|rows| rows > 0)
}

/// Deletes a node from sight: it is in no list, it is not connected to, and its hosts are in no subscription.
/// [`delete_part`] deletes its rows. False: the node does not exist.
pub async fn hide(tx: &mut Tx, id: NodeId, now: Moment) -> Result<bool, StoreError> {
    let name = format!("deleted node {} {}", id.0, Uuid::now_v7());
    db_affected!(tx, HIDE, id.0, now.micros(), name).map(|rows| rows > 0)
}

/// Returns a node that [`hide`] deleted from sight and whose rows are not deleted yet.
pub async fn hidden(tx: &mut Tx) -> Result<Option<NodeId>, StoreError> {
    let id = db_run!(tx, HIDDEN, |sql, c| query_scalar::<_, Option<i64>>(sql).fetch_one(c).await)?;
    Ok(id.map(NodeId))
}

/// Deletes some hosts and inbounds of a hidden node; after the last ones, the node with its engines. True: the node is
/// gone.
pub async fn delete_part(tx: &mut Tx, id: NodeId) -> Result<bool, StoreError> {
    for statement in [DELETE_HOSTS, DELETE_INBOUNDS] {
        if db_affected!(tx, statement, id.0, DELETED_AT_ONCE)? >= DELETED_AT_ONCE.unsigned_abs() {
            return Ok(false);
        }
    }
    db_execute!(tx, DELETE, id.0)?;
    Ok(true)
}

/// Adds the engines to the nodes.
async fn complete(db: &Db, rows: impl IntoIterator<Item = NodeRow>) -> Result<Vec<Node>, StoreError> {
    let mut nodes: Vec<Node> = rows.into_iter().map(Node::from).collect();
    if nodes.is_empty() {
        return Ok(nodes);
    }
    let ids = IdList::new(nodes.iter().map(|node| node.id.0));
    let mut backends: HashMap<i64, Vec<Backend>> = HashMap::new();
    for row in db_read!(db, BACKENDS, |sql, c| query_as::<_, BackendRow>(sql).bind(ids).fetch_all(c).await)? {
        let BackendRow { node_id, name, backend_type, version, running } = row;
        backends.entry(node_id).or_default().push(Backend { name, backend_type, version, running });
    }
    for node in &mut nodes {
        node.backends = backends.remove(&node.id.0).unwrap_or_default();
    }
    Ok(nodes)
}
