//! The services, inbounds and nodes of a user, as a diagnosis reads them.

use sqlx::query_as;

use crate::domain::diagnosis::{AbsentInbound, NodeFacts, ServiceFacts};
use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::domain::node::NodeStatus;
use crate::store::engine::statement::{db_read, row, statements};
use crate::store::engine::{Db, StoreError};

/// Most rows of each kind: a diagnosis lists a few hundred findings.
const MOST: i64 = 500;

statements! {
    SERVICES =
        "SELECT s.id, s.name,
             EXISTS (SELECT 1 FROM inbounds_services b JOIN inbounds i ON i.id = b.inbound_id
                     JOIN nodes n ON n.id = i.node_id
                     WHERE b.service_id = s.id AND i.absent_since IS NULL AND n.deleted_at IS NULL) AS has_inbounds,
             EXISTS (SELECT 1 FROM hosts_services o JOIN hosts h ON h.id = o.host_id
                     WHERE o.service_id = s.id AND h.inbound_id IS NULL) AS has_hosts
         FROM users_services m JOIN services s ON s.id = m.service_id WHERE m.user_id = $1 ORDER BY s.id LIMIT $2";
    ABSENT =
        "SELECT i.id, i.tag, n.name AS node, i.absent_since FROM inbounds i JOIN nodes n ON n.id = i.node_id
         WHERE i.absent_since IS NOT NULL AND n.deleted_at IS NULL
           AND i.id IN (SELECT b.inbound_id FROM users_services m JOIN inbounds_services b ON b.service_id = m.service_id
                        WHERE m.user_id = $1)
         ORDER BY i.id LIMIT $2";
    // One row for each engine, or for a node without engines. A mark of the user is waiting until all connected nodes have
    // confirmed its change.
    NODES =
        "SELECT n.id, n.name, n.status, n.message, n.last_status_change, n.synced_at,
             n.synced_epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1) AS connected,
             (SELECT w.changed_at FROM user_change w WHERE w.user_id = $1) AS waiting_since,
             b.name AS engine, b.running
         FROM nodes n LEFT JOIN backends b ON b.node_id = n.id
         WHERE n.deleted_at IS NULL AND n.id IN (
             SELECT i.node_id FROM users_services m JOIN inbounds_services s ON s.service_id = m.service_id
             JOIN inbounds i ON i.id = s.inbound_id WHERE m.user_id = $1 AND i.absent_since IS NULL)
         ORDER BY n.id, b.name LIMIT $2";
}

row! {
    struct ServiceRow {
        id: i64,
        name: Option<String>,
        has_inbounds: bool,
        has_hosts: bool,
    }
}

row! {
    struct AbsentRow {
        id: i64,
        tag: String,
        node: String,
        absent_since: i64,
    }
}

row! {
    struct EngineRow {
        id: i64,
        name: String,
        status: NodeStatus,
        message: Option<String>,
        last_status_change: Option<i64>,
        synced_at: Option<i64>,
        connected: bool,
        waiting_since: Option<i64>,
        engine: Option<String>,
        running: Option<bool>,
    }
}

/// The services and nodes of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The services, by id.
    pub services: Vec<ServiceFacts>,
    /// Inbounds of the services that nodes do not report any more.
    pub absent_inbounds: Vec<AbsentInbound>,
    /// Nodes with an inbound of the services.
    pub nodes: Vec<NodeFacts>,
    /// When the user was changed, if connected nodes have not all confirmed the change.
    pub waiting_since: Option<Moment>,
}

/// Reads the services and nodes of a user.
pub async fn of_user(db: &Db, user: UserId) -> Result<Survey, StoreError> {
    let services = async {
        db_read!(db, SERVICES, |sql, c| query_as::<_, ServiceRow>(sql).bind(user.0).bind(MOST).fetch_all(c).await)
    };
    let absent = async {
        db_read!(db, ABSENT, |sql, c| query_as::<_, AbsentRow>(sql).bind(user.0).bind(MOST).fetch_all(c).await)
    };
    let engines = async {
        db_read!(db, NODES, |sql, c| query_as::<_, EngineRow>(sql).bind(user.0).bind(MOST).fetch_all(c).await)
    };
    let (services, absent, engines) = tokio::try_join!(services, absent, engines)?;
    let waiting_since = engines.first().and_then(|row| row.waiting_since).map(Moment::from_micros);
    Ok(Survey {
        services: services.into_iter().map(ServiceFacts::from).collect(),
        absent_inbounds: absent.into_iter().map(AbsentInbound::from).collect(),
        nodes: nodes(engines),
        waiting_since,
    })
}

/// Joins the rows of each node, which follow one another.
fn nodes(rows: Vec<EngineRow>) -> Vec<NodeFacts> {
    let mut nodes: Vec<NodeFacts> = Vec::new();
    for row in rows {
        if nodes.last().is_none_or(|last| last.id != row.id) {
            nodes.push(NodeFacts {
                id: row.id,
                name: row.name,
                status: row.status,
                message: row.message,
                status_since: row.last_status_change.map(Moment::from_micros),
                synced_at: row.synced_at.map(Moment::from_micros),
                connected: row.connected,
                stopped_engines: Vec::new(),
                // A node that never reported an engine may have one.
                has_running_engine: row.engine.is_none(),
            });
        }
        if let (Some(node), Some(engine)) = (nodes.last_mut(), row.engine) {
            if row.running == Some(true) {
                node.has_running_engine = true;
            } else {
                node.stopped_engines.push(engine);
            }
        }
    }
    nodes
}

impl From<ServiceRow> for ServiceFacts {
    fn from(row: ServiceRow) -> Self {
        let name = row.name.unwrap_or_default();
        Self { id: row.id, name, has_inbounds: row.has_inbounds, has_hosts: row.has_hosts }
    }
}

impl From<AbsentRow> for AbsentInbound {
    fn from(row: AbsentRow) -> Self {
        Self { id: row.id, tag: row.tag, node: row.node, since: Moment::from_micros(row.absent_since) }
    }
}
