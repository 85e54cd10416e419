//! The hosts that subscriptions are rendered from, with inbounds, services and chains, in one query.

use sqlx::query_as;
use sqlx::types::Json;

use crate::domain::host::{Host, HostSpec};
use crate::domain::ids::{HostId, InboundId, NodeId, ServiceId};
use crate::domain::inbound::Inbound;
use crate::store::engine::statement::{db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};
use crate::store::{panel_addresses, settings};
use crate::subscription::catalogue;
use crate::subscription::shared_part::SharedPart;

/// All hosts, except for those of absent inbounds and of deleted nodes, with two lists: the services that include the host (those of its inbound if it is bound, otherwise its
/// own), and its chain in order.
macro_rules! select_hosts {
    ($services:literal, $chain:literal) => {
        concat!(
            "SELECT h.id, h.inbound_id, h.is_disabled, h.universal, h.weight, h.spec, i.node_id, i.tag, i.protocol,
                    i.config, ",
            $services,
            " AS service_ids, ",
            $chain,
            " AS chain_ids
             FROM hosts h LEFT JOIN inbounds i ON i.id = h.inbound_id
             WHERE i.absent_since IS NULL AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = i.node_id AND n.deleted_at IS NOT NULL)
             ORDER BY h.id"
        )
    };
}

statements! {
    NODES = "SELECT id, address FROM nodes WHERE deleted_at IS NULL ORDER BY id";
    HOSTS =>
        pg select_hosts!(
            "ARRAY(SELECT b.service_id FROM inbounds_services b WHERE b.inbound_id = h.inbound_id
                   UNION ALL
                   SELECT s.service_id FROM hosts_services s WHERE s.host_id = h.id AND h.inbound_id IS NULL)",
            "(SELECT json_agg(c.chained_host_id ORDER BY c.seq) FROM host_chains c WHERE c.host_id = h.id)"
        ),
        lite select_hosts!(
            "CASE WHEN h.inbound_id IS NULL
                  THEN (SELECT json_group_array(s.service_id) FROM hosts_services s WHERE s.host_id = h.id)
                  ELSE (SELECT json_group_array(b.service_id) FROM inbounds_services b WHERE b.inbound_id = h.inbound_id)
             END",
            "(SELECT json_group_array(c.chained_host_id ORDER BY c.seq) FROM host_chains c WHERE c.host_id = h.id)"
        );
}

row! {
    struct HostRow {
        id: i64,
        inbound_id: Option<i64>,
        is_disabled: bool,
        universal: bool,
        weight: i64,
        spec: Json<HostSpec>,
        node_id: Option<i64>,
        tag: Option<String>,
        protocol: Option<String>,
        config: Option<String>,
        service_ids: IdList,
        chain_ids: Option<Json<Vec<i64>>>,
    }
}

/// Returns the hosts of inbounds that nodes report, and the unbound ones; disabled ones included, because other hosts may
/// be chained to them.
pub async fn hosts(db: &Db) -> Result<Vec<catalogue::HostRow>, StoreError> {
    db_read!(db, HOSTS, |sql, c| query_as::<_, HostRow>(sql).fetch_all(c).await)
        .map(|rows| rows.into_iter().map(catalogue::HostRow::from).collect())
}

/// Returns the addresses of the nodes, by id.
async fn node_addresses(db: &Db) -> Result<Vec<(NodeId, String)>, StoreError> {
    let rows = db_read!(db, NODES, |sql, c| { query_as::<_, (i64, String)>(sql).fetch_all(c).await })?;
    Ok(rows.into_iter().map(|(id, address)| (NodeId(id), address)).collect())
}

/// Returns everything that subscriptions are rendered from besides their user, without the owners.
pub async fn shared_part(db: &Db) -> Result<SharedPart, StoreError> {
    let settings = settings::subscription(db).await?;
    let hosts = hosts(db).await?;
    let nodes = node_addresses(db).await?;
    let addresses = panel_addresses::all(db).await?;
    let of_family = |is_ipv4: bool| {
        addresses.iter().find(|stored| stored.ip.is_ipv4() == is_ipv4).map(|stored| stored.ip.to_string())
    };
    Ok(SharedPart { settings, hosts, nodes, ipv4: of_family(true), ipv6: of_family(false), owners: Vec::new() })
}

/// Like [`hosts`], as this transaction sees them.
pub async fn hosts_within(tx: &mut Tx) -> Result<Vec<catalogue::HostRow>, StoreError> {
    db_run!(tx, HOSTS, |sql, c| query_as::<_, HostRow>(sql).fetch_all(c).await)
        .map(|rows| rows.into_iter().map(catalogue::HostRow::from).collect())
}

impl From<HostRow> for catalogue::HostRow {
    fn from(row: HostRow) -> Self {
        let service_ids: Vec<_> = row.service_ids.as_slice().iter().copied().map(ServiceId).collect();
        let inbound = match (row.inbound_id, row.node_id, row.tag, row.protocol, row.config) {
            (Some(id), Some(node_id), Some(tag), Some(protocol), Some(config)) => {
                Some(Inbound { id: InboundId(id), node_id: NodeId(node_id), tag, protocol, config })
            }
            _ => None,
        };
        let host = Host {
            id: HostId(row.id),
            inbound_id: row.inbound_id.map(InboundId),
            is_disabled: row.is_disabled,
            universal: row.universal,
            weight: row.weight,
            spec: row.spec.0,
            service_ids: if inbound.is_some() { Vec::new() } else { service_ids.clone() },
            chain_ids: row.chain_ids.map(|ids| ids.0.into_iter().map(HostId).collect()).unwrap_or_default(),
        };
        Self { host, inbound, service_ids }
    }
}
