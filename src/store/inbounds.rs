//! `inbounds` as admins see them: each with its node and its services. Nodes write them when they sync.

use std::collections::HashMap;

use sqlx::{query_as, query_scalar};

use super::like::containing;
use super::{Db, IdList, StoreError, read, row, statements};
use crate::domain::ids::{InboundId, NodeId, ServiceId};
use crate::domain::inbound::Inbound;
use crate::domain::node::ConnectionBackend;

statements! {
    BY_ID = "SELECT i.id, i.tag, i.protocol, i.config, i.node_id, n.name AS node_name, n.address, n.port,
        n.connection_backend, n.usage_coefficient
        FROM inbounds i JOIN nodes n ON n.id = i.node_id WHERE i.id = $1";
    PAGE = r"SELECT i.id, i.tag, i.protocol, i.config, i.node_id, n.name AS node_name, n.address, n.port,
        n.connection_backend, n.usage_coefficient
        FROM inbounds i JOIN nodes n ON n.id = i.node_id
        WHERE LOWER(i.tag) LIKE LOWER($1) ESCAPE '\' ORDER BY i.id LIMIT $2 OFFSET $3";
    COUNT = r"SELECT COUNT(*) FROM inbounds WHERE LOWER(tag) LIKE LOWER($1) ESCAPE '\'";
    PAGE_OF_SERVICE = "SELECT i.id, i.tag, i.protocol, i.config, i.node_id, n.name AS node_name, n.address, n.port,
        n.connection_backend, n.usage_coefficient
        FROM inbounds_services s JOIN inbounds i ON i.id = s.inbound_id JOIN nodes n ON n.id = i.node_id
        WHERE s.service_id = $1 ORDER BY i.id LIMIT $2 OFFSET $3";
    COUNT_OF_SERVICE = "SELECT COUNT(*) FROM inbounds_services WHERE service_id = $1";
    SERVICES =>
        pg "SELECT inbound_id, service_id FROM inbounds_services WHERE inbound_id = ANY($1) ORDER BY service_id",
        lite "SELECT inbound_id, service_id FROM inbounds_services
            WHERE inbound_id IN (SELECT value FROM json_each($1)) ORDER BY service_id";
    EXISTS = "SELECT EXISTS (SELECT 1 FROM inbounds WHERE id = $1)";
}

/// An inbound with what a list shows beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundView {
    /// The inbound.
    pub inbound: Inbound,
    /// Where it is.
    pub node: InboundNode,
    /// The services that give it, by id.
    pub service_ids: Vec<ServiceId>,
}

/// The node of an inbound, as far as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundNode {
    /// The row.
    pub id: NodeId,
    /// Unique.
    pub name: String,
    /// Host name or address.
    pub address: String,
    /// TCP port.
    pub port: i64,
    /// How it is reached.
    pub connection_backend: ConnectionBackend,
    /// Users' bytes are counted times this.
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
    }
}

/// One inbound.
pub async fn by_id(db: &Db, id: InboundId) -> Result<Option<InboundView>, StoreError> {
    let row = read!(db, BY_ID, |sql, c| query_as::<_, InboundRow>(sql).bind(id.0).fetch_optional(c).await)?;
    Ok(complete(db, row).await?.pop())
}

/// Those with a tag that contains `tag`, in any case, with `%` and `_` as wildcards, in the order of their ids.
pub async fn page(db: &Db, tag: &str, limit: i64, offset: i64) -> Result<Vec<InboundView>, StoreError> {
    let rows = read!(db, PAGE, |sql, c| query_as::<_, InboundRow>(sql)
        .bind(containing(tag))
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)?;
    complete(db, rows).await
}

/// How many have a tag that contains `tag`.
pub async fn count(db: &Db, tag: &str) -> Result<i64, StoreError> {
    read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(containing(tag)).fetch_one(c).await)
}

/// Those that a service gives, in the order of their ids.
pub async fn page_of_service(
    db: &Db,
    service: ServiceId,
    limit: i64,
    offset: i64,
) -> Result<Vec<InboundView>, StoreError> {
    let rows = read!(db, PAGE_OF_SERVICE, |sql, c| query_as::<_, InboundRow>(sql)
        .bind(service.0)
        .bind(limit)
        .bind(offset)
        .fetch_all(c)
        .await)?;
    complete(db, rows).await
}

/// How many a service gives.
pub async fn count_of_service(db: &Db, service: ServiceId) -> Result<i64, StoreError> {
    read!(db, COUNT_OF_SERVICE, |sql, c| query_scalar::<_, i64>(sql).bind(service.0).fetch_one(c).await)
}

/// Whether an inbound is there.
pub async fn exists(db: &Db, id: InboundId) -> Result<bool, StoreError> {
    read!(db, EXISTS, |sql, c| query_scalar::<_, bool>(sql).bind(id.0).fetch_one(c).await)
}

/// Inbounds with their services.
async fn complete(db: &Db, rows: impl IntoIterator<Item = InboundRow>) -> Result<Vec<InboundView>, StoreError> {
    let rows: Vec<InboundRow> = rows.into_iter().collect();
    let ids = IdList::new(rows.iter().map(|row| row.id));
    let mut services: HashMap<i64, Vec<ServiceId>> = HashMap::new();
    if !ids.is_empty() {
        let pairs = read!(db, SERVICES, |sql, c| query_as::<_, (i64, i64)>(sql).bind(ids).fetch_all(c).await)?;
        for (inbound, service) in pairs {
            services.entry(inbound).or_default().push(ServiceId(service));
        }
    }
    Ok(rows.into_iter().map(|row| row.into_view(&mut services)).collect())
}

impl InboundRow {
    fn into_view(self, services: &mut HashMap<i64, Vec<ServiceId>>) -> InboundView {
        let node_id = NodeId(self.node_id);
        InboundView {
            service_ids: services.remove(&self.id).unwrap_or_default(),
            inbound: Inbound {
                id: InboundId(self.id),
                node_id,
                tag: self.tag,
                protocol: self.protocol,
                config: self.config,
            },
            node: InboundNode {
                id: node_id,
                name: self.node_name,
                address: self.address,
                port: self.port,
                connection_backend: self.connection_backend,
                usage_coefficient: self.usage_coefficient,
            },
        }
    }
}
