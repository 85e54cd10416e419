//! All hosts, prepared once for many renderings: templates and inbounds parsed, order set.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::domain::host::template::HostTemplate;
use crate::domain::host::{Host, HostSpec};
use crate::domain::ids::{HostId, NodeId, ServiceId};
use crate::domain::inbound::{Inbound, InboundConfig};
use crate::domain::panel_address::reachable_node;

use super::connection::Connection;
use super::refusal::Reason;

/// Hosts that traffic passes after the first one, at most.
pub const MAX_HOPS: usize = 16;
/// Bytes that an entry counts beside its own texts.
pub(super) const ENTRY_SIZE: usize = 1 << 10;

/// A host with its inbound and services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRow {
    /// The host.
    pub host: Host,
    /// The inbound of a bound host.
    pub inbound: Option<Inbound>,
    /// The services whose users see the host: those of its inbound if it is bound, else its own.
    pub service_ids: Vec<ServiceId>,
}

/// Hosts prepared for rendering to any user. Out of date once a host, an inbound or a service changes.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// By weight, then those without a chain first, then by id.
    hosts: Vec<ReadyHost>,
    by_id: HashMap<HostId, usize>,
    /// Addresses of nodes that clients reach, too.
    nodes: HashMap<NodeId, String>,
    /// The variables that templates name, each once.
    names: Vec<String>,
    is_random: bool,
    /// Bytes of all hosts, about, with those that are hops counted for each chain.
    size: usize,
}

/// A host combined with the settings of its inbound.
#[derive(Clone, Debug)]
pub(super) struct ReadyHost {
    pub id: HostId,
    pub bound: bool,
    /// The node of its inbound.
    pub node: Option<NodeId>,
    pub is_disabled: bool,
    pub universal: bool,
    pub weight: i64,
    pub service_ids: Vec<ServiceId>,
    pub chain_ids: Vec<HostId>,
    /// The protocol and transport that templates show.
    pub protocol_word: Option<String>,
    pub network_word: Option<String>,
    pub remark: HostTemplate,
    /// How clients connect to it, or why none can.
    pub connection: Result<Connection, Reason>,
    pub config: InboundConfig,
    pub spec: HostSpec,
    /// Bytes of its texts in memory, about.
    size: usize,
}

impl Catalogue {
    /// Prepares hosts. The rows must include the hosts of all chains.
    pub fn new(rows: Vec<HostRow>) -> Self {
        Self::of(rows.into_iter().map(ReadyHost::new).collect())
    }

    fn of(mut hosts: Vec<ReadyHost>) -> Self {
        hosts.sort_by_key(|host| (host.weight, !host.chain_ids.is_empty(), host.id));
        let by_id = hosts.iter().enumerate().map(|(index, host)| (host.id, index)).collect();
        let templates = hosts.iter().flat_map(ReadyHost::templates);
        let mut names: Vec<String> = templates.flat_map(HostTemplate::names).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        let is_random = hosts.iter().any(ReadyHost::is_random);
        let mut catalogue = Self { hosts, by_id, nodes: HashMap::new(), names, is_random, size: 0 };
        catalogue.size = catalogue.hosts.iter().map(|host| catalogue.with_hops(host)).sum();
        catalogue
    }

    /// Adds the addresses of the nodes. Those that only the panel's network knows are left out.
    #[must_use]
    pub fn with_nodes(self, nodes: impl IntoIterator<Item = (NodeId, String)>) -> Self {
        let reachable = |(id, address): (NodeId, String)| Some((id, reachable_node(&address)?.to_owned()));
        Self { nodes: nodes.into_iter().filter_map(reachable).collect(), ..self }
    }

    /// The address of a host's node, if clients reach the node under it.
    pub(super) fn node_address(&self, host: &ReadyHost) -> Option<&str> {
        host.node.and_then(|node| self.nodes.get(&node)).map(String::as_str)
    }

    /// The variables that the templates of all hosts name.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// True when two renderings of the same input may differ.
    pub(super) const fn is_random(&self) -> bool {
        self.is_random
    }

    /// The hosts that a user with these services sees, by weight.
    pub(super) fn of_services<'a>(&'a self, services: &'a [ServiceId]) -> impl Iterator<Item = &'a ReadyHost> {
        self.hosts.iter().filter(move |host| !host.is_disabled && host.is_for(services))
    }

    /// The disabled hosts that a user with these services would see.
    pub(super) fn disabled_of_services<'a>(&'a self, services: &'a [ServiceId]) -> impl Iterator<Item = &'a ReadyHost> {
        self.hosts.iter().filter(move |host| host.is_disabled && host.is_for(services))
    }

    /// True when the hosts that a user with these services sees have more than this number of bytes, about, hops included.
    pub fn is_larger_than(&self, bytes: usize, services: &[ServiceId]) -> bool {
        // A small catalogue is not asked for each user.
        let mut left = bytes;
        let is_over = |host: &ReadyHost| {
            left = left.saturating_sub(self.with_hops(host));
            left == 0
        };
        self.size > bytes && self.of_services(services).any(is_over)
    }

    /// A catalogue of this host, for users of its services, and of the hosts of its chain, which nobody else sees.
    pub(super) fn with_only(&self, row: HostRow) -> Self {
        let own = ReadyHost { is_disabled: false, ..ReadyHost::new(row) };
        let mut seen = HashSet::from([own.id]);
        let chained = own.chain_ids.iter().filter(|id| seen.insert(**id)).filter_map(|id| self.by_id(*id));
        let chained = chained.map(|host| ReadyHost { is_disabled: true, ..host.clone() });
        let hosts: Vec<ReadyHost> = chained.collect();
        Self { nodes: self.nodes.clone(), ..Self::of(std::iter::once(own).chain(hosts).collect()) }
    }

    /// Bytes of a host and the hosts of its chain, about.
    fn with_hops(&self, host: &ReadyHost) -> usize {
        let hops = host.chain_ids.iter().take(MAX_HOPS).filter_map(|id| self.by_id(*id));
        host.size + hops.map(|hop| hop.size).sum::<usize>()
    }

    /// The host with this id.
    pub(super) fn by_id(&self, id: HostId) -> Option<&ReadyHost> {
        self.by_id.get(&id).and_then(|index| self.hosts.get(*index))
    }
}

impl ReadyHost {
    /// True for users with these services, unless the host is disabled.
    fn is_for(&self, services: &[ServiceId]) -> bool {
        (self.universal && !self.bound) || self.service_ids.iter().any(|id| services.contains(id))
    }

    /// True when a text is picked from several or contains `*`.
    fn is_random(&self) -> bool {
        self.spec.address.contains('*') || self.connection.as_ref().is_ok_and(Connection::is_random)
    }

    /// The templates of its texts.
    fn templates(&self) -> impl Iterator<Item = &HostTemplate> {
        std::iter::once(&self.remark).chain(self.connection.iter().flat_map(Connection::templates))
    }

    fn new(row: HostRow) -> Self {
        let HostRow { host, inbound, service_ids } = row;
        let mut spec = host.spec;
        let mut config = inbound.as_ref().map(|inbound| InboundConfig::parse(&inbound.config)).unwrap_or_default();
        let node = inbound.as_ref().map(|inbound| inbound.node_id);
        let (protocol_word, network_word) = match inbound {
            Some(inbound) => (Some(inbound.protocol), config.network.clone()),
            None => (spec.protocol.clone(), spec.network.clone()),
        };
        let words = (protocol_word.as_deref(), network_word.as_deref());
        let connection = Connection::new(words, node.is_some(), &mut spec, &mut config);
        Self {
            id: host.id,
            bound: node.is_some(),
            node,
            is_disabled: host.is_disabled,
            universal: host.universal,
            weight: host.weight,
            service_ids,
            chain_ids: host.chain_ids,
            protocol_word,
            network_word,
            remark: HostTemplate::lenient(&spec.remark),
            size: ENTRY_SIZE + text_size(&spec) + connection.as_ref().map_or(0, Connection::size),
            connection,
            config,
            spec,
        }
    }
}

/// Bytes of the texts that rendering fills.
fn text_size(spec: &HostSpec) -> usize {
    spec.remark.len() + spec.address.len() + spec.path.as_ref().map_or(0, String::len)
}
