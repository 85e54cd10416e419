//! The state of nodes that the node supervisor reads and writes: address, health, and progress of syncs.

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use super::hold;
use super::offers::{OfferedBackend, OfferedInbound, Report, Written};
use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::node::NodeStatus;
use crate::store::cluster::{Fence, FenceError};
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

/// The columns of a [`NodeRow`].
macro_rules! columns {
    () => {
        "id, name, address, port, connection_backend, usage_coefficient, status, message, certificate_pin, dirty, synced_at, sync_request, held_until, healed_at, refused_since"
    };
}

statements! {
    NODES = concat!("SELECT ", columns!(), " FROM nodes WHERE deleted_at IS NULL ORDER BY id");
    NODE = concat!("SELECT ", columns!(), " FROM nodes WHERE id = $1 AND deleted_at IS NULL");
    SET_HEALTH = "UPDATE nodes SET status = $2, message = $3,
        last_status_change = CASE WHEN status = $2 THEN last_status_change ELSE $4 END,
        failures = failures + CASE WHEN status = 'healthy' AND $2 = 'unhealthy' THEN 1 ELSE 0 END
        WHERE id = $1 AND status <> 'disabled'";
    BEGIN_SYNC = "UPDATE nodes SET dirty = FALSE,
        synced_epoch = CASE WHEN $2 OR synced_epoch < 0 THEN 0 ELSE synced_epoch END
        WHERE id = $1 AND deleted_at IS NULL RETURNING key_synced_seq";
    PIN = "UPDATE nodes SET certificate_pin = $2
        WHERE id = $1 AND certificate_pin IS NULL AND address = $3 AND port = $4";
    KEY_CLOCK = "SELECT seq FROM key_change WHERE id = 1";
    // Negative: changes were dropped while the full list was being sent.
    END_SYNC = "UPDATE nodes SET synced_at = $3, synced_users = $4,
        synced_epoch = CASE WHEN synced_epoch < 0 THEN synced_epoch ELSE (SELECT epoch FROM scheduler_epoch WHERE id = 1) END,
        key_synced_seq = CASE WHEN dirty THEN key_synced_seq ELSE $2 END,
        refused_since = NULL, doubtful_users = NULL
        WHERE id = $1";
    OUT_OF_STEP = "UPDATE nodes SET synced_epoch = -1 WHERE id = $1";
    MARK_DIRTY = "UPDATE nodes SET dirty = TRUE,
        key_synced_seq = CASE WHEN key_synced_seq > $2 THEN $2 ELSE key_synced_seq END,
        held_until = COALESCE($3, held_until) WHERE id = $1";
    REQUEST_OVERDUE =>
        pg "UPDATE nodes SET sync_request = $1
            WHERE id IN (SELECT id FROM nodes WHERE status = 'healthy' AND synced_at < $2 ORDER BY id LIMIT $3 FOR UPDATE)",
        lite "UPDATE nodes SET sync_request = $1
            WHERE id IN (SELECT id FROM nodes WHERE status = 'healthy' AND synced_at < $2 ORDER BY id LIMIT $3)";
}

row! {
    /// A node as its supervisor reads it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct NodeRow {
        /// Id of the node.
        pub id: i64,
        /// Name, for messages.
        pub name: String,
        /// Host name or address.
        pub address: String,
        /// TCP port: any integer, but only 1 to 65535 can be connected to.
        pub port: i64,
        /// Text of a `ConnectionBackend`.
        pub connection_backend: String,
        /// Factor by which users' bytes are multiplied.
        pub usage_coefficient: f64,
        /// Text of a `NodeStatus`.
        pub status: String,
        /// Reason for the status.
        pub message: Option<String>,
        /// SHA-256 of the certificate that the node must present, in hex; `None`: the next certificate seen is pinned.
        pub certificate_pin: Option<String>,
        /// True if a leader stepped down while it was sending changes to the node.
        pub dirty: bool,
        /// Time of the last full sync, in unix microseconds.
        pub synced_at: Option<i64>,
        /// Id of the last request for a full sync; a new value is a new request.
        pub sync_request: Option<Uuid>,
        /// Time until which other leaders than the one that set it leave the node alone, in unix microseconds.
        pub held_until: Option<i64>,
        /// When the node's engines were last restarted because it kept refusing its users, in unix microseconds.
        pub healed_at: Option<i64>,
        /// Since when the node has refused its users, in unix microseconds. Old if a full sync has ended since.
        pub refused_since: Option<i64>,
    }
}

impl NodeRow {
    /// True unless an admin has disabled the node.
    pub fn is_enabled(&self) -> bool {
        self.status != NodeStatus::Disabled.word()
    }
}

/// The engines and inbounds that a node offers, and its certificate.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Engines of the node.
    pub backends: Vec<OfferedBackend>,
    /// Inbounds of the engines; of equal tags the first counts.
    pub inbounds: Vec<OfferedInbound>,
    /// Certificate that the node presented, if none was pinned when the connection was made.
    pub first_seen: Option<FirstSeen>,
}

/// A certificate seen for the first time, and the address it was seen at. It is pinned unless the node's address has
/// changed since.
#[derive(Clone, Debug)]
pub struct FirstSeen {
    /// SHA-256 of the certificate, in hex.
    pub fingerprint: String,
    /// Host name or address of the connection.
    pub address: String,
    /// TCP port of the connection.
    pub port: i64,
}

/// The beginning of a full sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncBegin {
    /// The report was written.
    Begun {
        /// Readings of the clock `key_change`.
        clock: KeyClock,
        /// Number of inbounds that were reported until now, and are not in this report.
        absent: u64,
        /// True if the report differs from what the database had.
        differs: bool,
    },
    /// The node does not exist.
    Deleted,
    /// With this report, the node would have more than [`MOST_STORED`](super::offers::MOST_STORED) inbounds. Nothing was
    /// written.
    TooMany {
        /// Number of inbounds in the database that the report does not name.
        unreported: usize,
    },
}

/// Two readings of the clock `key_change` at the beginning of a full sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyClock {
    /// Reading up to which the node has every changed key.
    pub synced: i64,
    /// Current reading.
    pub now: i64,
}

/// The health of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Healthy or unhealthy.
    pub status: NodeStatus,
    /// Reason.
    pub message: Option<String>,
}

/// Returns all nodes, by id.
pub async fn nodes(db: &Db) -> Result<Vec<NodeRow>, StoreError> {
    db_read!(db, NODES, |sql, c| query_as::<_, NodeRow>(sql).fetch_all(c).await)
}

/// Returns a node.
pub async fn node(db: &Db, node: NodeId) -> Result<Option<NodeRow>, StoreError> {
    db_read!(db, NODE, |sql, c| query_as::<_, NodeRow>(sql).bind(node.0).fetch_optional(c).await)
}

/// Updates the health of nodes, which must be in the order of their ids. A node that was disabled meanwhile stays
/// disabled.
pub async fn set_health(fence: &Fence, changes: &[(NodeId, Health)], now: Moment) -> Result<(), FenceError> {
    fence
        .transaction("set node health", async |tx| {
            for (node, health) in changes {
                db_execute!(tx, SET_HEALTH, node.0, health.status.word(), &health.message, now.micros())?;
            }
            Ok(())
        })
        .await
}

/// Begins a full sync: writes the node's offer, pins its certificate if none is pinned, and clears the dirty flag, so
/// that a later `mark_dirty` causes another sync. `lacks_changes`: changes were dropped for the node, so that it is out
/// of step until this sync has ended.
pub async fn begin_sync(
    fence: &Fence,
    node: NodeId,
    offer: &Offer,
    lacks_changes: bool,
    now: Moment,
) -> Result<SyncBegin, FenceError> {
    let report = Report::new(&offer.backends, &offer.inbounds);
    fence
        .transaction("begin full sync", async |tx| {
            if let Some(unreported) = report.excess(tx, node).await? {
                return Ok(SyncBegin::TooMany { unreported });
            }
            let synced = db_run!(tx, BEGIN_SYNC, |sql, c| {
                query_scalar::<_, i64>(sql).bind(node.0).bind(lacks_changes).fetch_optional(c).await
            })?;
            let Some(synced) = synced else { return Ok(SyncBegin::Deleted) };
            if let Some(seen) = &offer.first_seen {
                write_pin(tx, node, seen).await?;
            }
            let Written { absent, differs } = report.write(tx, node, now).await?;
            let now = db_run!(tx, KEY_CLOCK, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
            Ok(SyncBegin::Begun { clock: KeyClock { synced, now }, absent, differs })
        })
        .await
}

/// Pins the certificate that a node presented, if none is pinned. Not fenced: any process may see a node first.
pub async fn pin(db: &Db, node: NodeId, seen: &FirstSeen) -> Result<(), StoreError> {
    db.transaction("pin node certificate", async |tx| {
        write_pin(tx, node, seen).await?;
        Ok(())
    })
    .await
}

/// The result of a full sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncEnd {
    /// Reading of the clock `key_change` up to which every changed key was renewed.
    pub key_seq: i64,
    /// Number of users in the list.
    pub users: i64,
}

/// Ends a full sync.
pub async fn end_sync(fence: &Fence, node: NodeId, end: SyncEnd, now: Moment) -> Result<(), FenceError> {
    fence
        .transaction("end full sync", async |tx| {
            db_execute!(tx, END_SYNC, node.0, end.key_seq, now.micros(), end.users)?;
            Ok(())
        })
        .await
}

/// Marks nodes, which must be in the order of their ids, as out of step until their next full sync: they lack changes
/// whose marks are about to be deleted.
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

/// Marks a node as dirty: it may have been sent outdated changes, and keys changed since `renew_from` must be renewed.
/// `holds`: calls may be running, see [`hold`](super::hold). Not fenced, because a deposed leader calls it.
pub async fn mark_dirty(db: &Db, node: NodeId, renew_from: i64, holds: bool) -> Result<(), StoreError> {
    let held_until = if holds { Some(hold::until(db).await?.micros()) } else { None };
    db.transaction("mark node dirty", async |tx| {
        db_execute!(tx, MARK_DIRTY, node.0, renew_from, held_until)?;
        Ok(())
    })
    .await
}

async fn write_pin(tx: &mut Tx, node: NodeId, seen: &FirstSeen) -> Result<(), StoreError> {
    db_execute!(tx, PIN, node.0, &seen.fingerprint, &seen.address, seen.port)
}

/// Requests a full sync of at most `limit` healthy nodes whose last one was before `before`. Returns their number.
pub async fn request_overdue(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, REQUEST_OVERDUE, Uuid::now_v7(), before.micros(), limit)
}
