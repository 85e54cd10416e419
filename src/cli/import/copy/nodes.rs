//! Copies nodes, inbounds and hosts.

use std::collections::HashSet;

use super::copier::Copier;
use super::known_ids::reference_pair;
use super::target::Target;
use crate::cli::import::rows::{hosts, nodes};
use crate::store::import::legacy;
use crate::store::import::tables;
use crate::store::import::tables::{HostChainRow, HostServiceRow, InboundServiceRow};

impl Copier<'_> {
    pub(super) async fn nodes_and_hosts(&mut self) -> anyhow::Result<()> {
        self.nodes().await?;
        self.inbounds().await?;
        self.hosts().await
    }

    async fn nodes(&mut self) -> anyhow::Result<()> {
        let now = self.now;
        if let Target::Database(tx) = &mut self.target {
            tables::remove_local_node(tx).await?;
        }
        let mut addresses = HashSet::new();
        self.table(legacy::NODES, &["id"], |row, known, _| {
            let mut node = nodes::node(row, now)?;
            // Two spellings of one address.
            if !addresses.insert((node.address.clone(), node.port)) {
                node.address = nodes::placeholder(node.id);
                row.changed("the same address and port as another node: a placeholder under .invalid");
            }
            known.nodes.insert(node.id);
            Some(node)
        })
        .await?;
        self.table(legacy::BACKENDS, &["id"], |row, known, _| {
            let backend = nodes::backend(row, |node| known.nodes.contains(&node))?;
            if !known.backends.insert((backend.node_id, backend.name.clone())) {
                return row.leave_out("its node already has a backend with this name");
            }
            Some(backend)
        })
        .await
    }

    async fn inbounds(&mut self) -> anyhow::Result<()> {
        self.table(legacy::INBOUNDS, &["id"], |row, known, sample| {
            let inbound = nodes::inbound(row, |node| known.nodes.contains(&node))?;
            known.inbounds.insert(inbound.id);
            sample.inbound(&inbound);
            Some(inbound)
        })
        .await?;
        self.table(legacy::INBOUNDS_SERVICES, &["inbound_id", "service_id"], |row, known, sample| {
            let (inbound_id, service_id) =
                reference_pair(row, ("inbound_id", &known.inbounds), ("service_id", &known.services))?;
            sample.inbound_service(inbound_id, service_id);
            Some(InboundServiceRow { inbound_id, service_id })
        })
        .await
    }

    async fn hosts(&mut self) -> anyhow::Result<()> {
        self.table(legacy::HOSTS, &["id"], |row, known, sample| {
            let host = hosts::host(row, |inbound| known.inbounds.contains(&inbound))?;
            known.hosts.insert(host.id);
            sample.host(&host);
            Some(host)
        })
        .await?;
        self.table(legacy::HOSTS_SERVICES, &["host_id", "service_id"], |row, known, sample| {
            let (host_id, service_id) =
                reference_pair(row, ("host_id", &known.hosts), ("service_id", &known.services))?;
            sample.host_service(host_id, service_id);
            Some(HostServiceRow { host_id, service_id })
        })
        .await?;
        self.table(legacy::HOST_CHAINS, &["host_id", "seq"], |row, known, sample| {
            let (host_id, next) = reference_pair(row, ("host_id", &known.hosts), ("chained_host_id", &known.hosts))?;
            let seq = row.integer("seq")?;
            sample.chain(host_id, seq, next);
            Some(HostChainRow { host_id, seq, chained_host_id: next })
        })
        .await
    }
}
