//! What the node supervisor reads and writes about nodes: where they are, how they are, what they offer, how far
//! they are in step.

use std::collections::HashMap;

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::node::NodeStatus;
use crate::store::cluster::{Fence, FenceError};
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

/// The columns of a [`NodeRow`].
macro_rules! columns {
    () => {
        "id, name, address, port, connection_backend, usage_coefficient, status, message, certificate_pin, dirty, synced_at, sync_request"
    };
}

statements! {
    NODES = concat!("SELECT ", columns!(), " FROM nodes ORDER BY id");
    NODE = concat!("SELECT ", columns!(), " FROM nodes WHERE id = $1");
    SET_HEALTH = "UPDATE nodes SET status = $2, message = $3, last_status_change = $4 WHERE id = $1 AND status <> 'disabled'";
    BEGIN_SYNC = "UPDATE nodes SET dirty = FALSE,
        synced_epoch = CASE WHEN $2 OR synced_epoch < 0 THEN 0 ELSE synced_epoch END
        WHERE id = $1 RETURNING key_synced_seq";
    PIN = "UPDATE nodes SET certificate_pin = $2
        WHERE id = $1 AND certificate_pin IS NULL AND address = $3 AND port = $4";
    KEY_CLOCK = "SELECT seq FROM key_change WHERE id = 1";
    // Negative: changes were given up while the list was on its way.
    END_SYNC = "UPDATE nodes SET synced_at = $3,
        synced_epoch = CASE WHEN synced_epoch < 0 THEN synced_epoch ELSE (SELECT epoch FROM scheduler_epoch WHERE id = 1) END,
        key_synced_seq = CASE WHEN dirty THEN key_synced_seq ELSE $2 END
        WHERE id = $1";
    OUT_OF_STEP = "UPDATE nodes SET synced_epoch = -1 WHERE id = $1";
    MARK_DIRTY = "UPDATE nodes SET dirty = TRUE,
        key_synced_seq = CASE WHEN key_synced_seq > $2 THEN $2 ELSE key_synced_seq END WHERE id = $1";
    REQUEST_OVERDUE = "UPDATE nodes SET sync_request = $1
        WHERE id IN (SELECT id FROM nodes WHERE status = 'healthy' AND synced_at < $2 ORDER BY id LIMIT $3)";
    DROP_BACKENDS = "DELETE FROM backends WHERE node_id = $1";
    ADD_BACKEND = "INSERT INTO backends (node_id, name, backend_type, version, running) VALUES ($1, $2, $3, $4, TRUE)
        ON CONFLICT (node_id, name) DO NOTHING";
    INBOUNDS = "SELECT id, tag, protocol, config FROM inbounds WHERE node_id = $1 ORDER BY id";
    ADD_INBOUND = "INSERT INTO inbounds (node_id, tag, protocol, config) VALUES ($1, $2, $3, $4) RETURNING id";
    SET_INBOUND = "UPDATE inbounds SET protocol = $2, config = $3 WHERE id = $1";
    DROP_INBOUND = "DELETE FROM inbounds WHERE id = $1";
    ADD_HOST =>
        pg "INSERT INTO hosts (inbound_id, spec) VALUES ($1, CAST($2 AS JSONB))",
        lite "INSERT INTO hosts (inbound_id, spec) VALUES ($1, $2)";
}

/// The host that a new inbound starts with. Everything that is not named here has its default.
const DEFAULT_HOST: &str = r#"{"remark":"{USERNAME} ({PROTOCOL}, {TRANSPORT})","address":"{SERVER_IP}"}"#;

row! {
    /// A node as its supervisor sees it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct NodeRow {
        /// The row.
        pub id: i64,
        /// For messages.
        pub name: String,
        /// Host name or address.
        pub address: String,
        /// Any integer; only 1 to 65535 can be connected to.
        pub port: i64,
        /// The word of a `ConnectionBackend`.
        pub connection_backend: String,
        /// Users' bytes are counted times this.
        pub usage_coefficient: f64,
        /// The word of a `NodeStatus`.
        pub status: String,
        /// Why it is so.
        pub message: Option<String>,
        /// SHA-256 of the certificate that it must present, in hex; `None`: the next one seen is pinned.
        pub certificate_pin: Option<String>,
        /// Somebody stepped down with sends under way.
        pub dirty: bool,
        /// Its last full sync, in unix microseconds.
        pub synced_at: Option<i64>,
        /// Another value: somebody asked for a full sync.
        pub sync_request: Option<Uuid>,
    }
}

row! {
    struct InboundRow {
        id: i64,
        tag: String,
        protocol: String,
        config: String,
    }
}

/// An engine that a node offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedBackend {
    /// Unique on its node.
    pub name: String,
    /// xray, sing-box, hysteria2, …
    pub backend_type: String,
    /// The engine's version.
    pub version: Option<String>,
}

/// An inbound that a node offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedInbound {
    /// Unique on its node.
    pub tag: String,
    /// Out of the config.
    pub protocol: String,
    /// The node's own JSON text.
    pub config: String,
}

/// What a node offers, and the certificate it offers it under.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Its engines.
    pub backends: Vec<OfferedBackend>,
    /// Their inbounds; of equal tags the first counts.
    pub inbounds: Vec<OfferedInbound>,
    /// The certificate that it presented, if nothing was pinned when the connection was made.
    pub first_seen: Option<FirstSeen>,
}

/// A certificate seen for the first time, and where. It is pinned unless the node was moved meanwhile.
#[derive(Clone, Debug)]
pub struct FirstSeen {
    /// SHA-256 in hex.
    pub fingerprint: String,
    /// Host name or address of the connection.
    pub address: String,
    /// Its TCP port.
    pub port: i64,
}

/// Two readings of the clock `key_change`, taken as a full sync begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyClock {
    /// Up to here the node has had every changed key renewed.
    pub synced: i64,
    /// The clock now.
    pub now: i64,
}

/// How a node is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Healthy or unhealthy.
    pub status: NodeStatus,
    /// Why.
    pub message: Option<String>,
}

/// All nodes, by id.
pub async fn nodes(db: &Db) -> Result<Vec<NodeRow>, StoreError> {
    db_read!(db, NODES, |sql, c| query_as::<_, NodeRow>(sql).fetch_all(c).await)
}

/// One node.
pub async fn node(db: &Db, node: NodeId) -> Result<Option<NodeRow>, StoreError> {
    db_read!(db, NODE, |sql, c| query_as::<_, NodeRow>(sql).bind(node.0).fetch_optional(c).await)
}

/// Writes how nodes are (in the order of their ids); a node that was switched off meanwhile stays off.
pub async fn set_health(fence: &Fence, news: &[(NodeId, Health)], now: Moment) -> Result<(), FenceError> {
    fence
        .transaction("set node health", async |tx| {
            for (node, health) in news {
                db_execute!(tx, SET_HEALTH, node.0, health.status.word(), &health.message, now.micros())?;
            }
            Ok(())
        })
        .await
}

/// Begins a full sync: writes what the node offers, pins its certificate if none is, and takes the node for clean: who
/// marks it dirty from now on causes another sync. `lacks`: changes were given up for it, so that it is not in step
/// until this sync has ended. `None`: the node is gone.
pub async fn begin_sync(
    fence: &Fence,
    node: NodeId,
    offer: &Offer,
    lacks: bool,
) -> Result<Option<KeyClock>, FenceError> {
    fence
        .transaction("begin full sync", async |tx| {
            let synced = db_run!(tx, BEGIN_SYNC, |sql, c| {
                query_scalar::<_, i64>(sql).bind(node.0).bind(lacks).fetch_optional(c).await
            })?;
            let Some(synced) = synced else { return Ok(None) };
            if let Some(seen) = &offer.first_seen {
                write_pin(tx, node, seen).await?;
            }
            write_backends(tx, node, &offer.backends).await?;
            write_inbounds(tx, node, &offer.inbounds).await?;
            let now = db_run!(tx, KEY_CLOCK, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
            Ok(Some(KeyClock { synced, now }))
        })
        .await
}

/// Pins the certificate that a node presented, if none is pinned. Not fenced: whoever sees a node first pins it.
pub async fn pin(db: &Db, node: NodeId, seen: &FirstSeen) -> Result<(), StoreError> {
    db.transaction("pin node certificate", async |tx| {
        write_pin(tx, node, seen).await?;
        Ok(())
    })
    .await
}

/// Ends a full sync that renewed every key changed up to `key_seq`.
pub async fn end_sync(fence: &Fence, node: NodeId, key_seq: i64, now: Moment) -> Result<(), FenceError> {
    fence
        .transaction("end full sync", async |tx| {
            db_execute!(tx, END_SYNC, node.0, key_seq, now.micros())?;
            Ok(())
        })
        .await
}

/// Says that nodes (in the order of their ids) lack changes whose marks are about to go, until a full sync that begins
/// later.
pub async fn out_of_step(fence: &Fence, nodes: &[NodeId]) -> Result<(), FenceError> {
    fence
        .transaction("mark nodes out of step", async |tx| {
            for node in nodes {
                db_execute!(tx, OUT_OF_STEP, node.0)?;
            }
            Ok(())
        })
        .await
}

/// Says that a node may have been sent something old, and how far back changed keys must be renewed. Not fenced: it
/// is said by who does not lead any more.
pub async fn mark_dirty(db: &Db, node: NodeId, renew_from: i64) -> Result<(), StoreError> {
    db.transaction("mark node dirty", async |tx| {
        db_execute!(tx, MARK_DIRTY, node.0, renew_from)?;
        Ok(())
    })
    .await
}

async fn write_pin(tx: &mut Tx, node: NodeId, seen: &FirstSeen) -> Result<(), StoreError> {
    db_execute!(tx, PIN, node.0, &seen.fingerprint, &seen.address, seen.port)
}

/// Asks for a full sync of healthy nodes that had none since `before`, at most `limit` of them. Returns how many.
pub async fn request_overdue(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, REQUEST_OVERDUE, Uuid::now_v7(), before.micros(), limit)
}

async fn write_backends(tx: &mut Tx, node: NodeId, backends: &[OfferedBackend]) -> Result<(), StoreError> {
    db_execute!(tx, DROP_BACKENDS, node.0)?;
    for backend in backends {
        db_execute!(tx, ADD_BACKEND, node.0, &backend.name, &backend.backend_type, &backend.version)?;
    }
    Ok(())
}

/// New inbounds get a host of their own, known ones the node's latest config; vanished ones go with their hosts.
async fn write_inbounds(tx: &mut Tx, node: NodeId, offered: &[OfferedInbound]) -> Result<(), StoreError> {
    let rows = db_run!(tx, INBOUNDS, |sql, c| query_as::<_, InboundRow>(sql).bind(node.0).fetch_all(c).await)?;
    let mut known: HashMap<&str, &InboundRow> = rows.iter().map(|row| (row.tag.as_str(), row)).collect();
    let mut seen = std::collections::HashSet::new();
    for inbound in offered.iter().filter(|inbound| seen.insert(inbound.tag.as_str())) {
        let OfferedInbound { tag, protocol, config } = inbound;
        match known.remove(tag.as_str()) {
            Some(row) if row.protocol == *protocol && row.config == *config => {}
            Some(row) => {
                let id = row.id;
                db_execute!(tx, SET_INBOUND, id, protocol, config)?;
            }
            None => {
                let id = db_run!(tx, ADD_INBOUND, |sql, c| {
                    query_scalar::<_, i64>(sql).bind(node.0).bind(tag).bind(protocol).bind(config).fetch_one(c).await
                })?;
                db_execute!(tx, ADD_HOST, id, DEFAULT_HOST)?;
            }
        }
    }
    for row in rows.iter().filter(|row| known.contains_key(row.tag.as_str())) {
        db_execute!(tx, DROP_INBOUND, row.id)?;
    }
    Ok(())
}
