//! All hosts, prepared once for many renderings: templates and inbounds parsed, order set.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use crate::domain::address::ascii_name;
use crate::domain::host::template::HostTemplate;
use crate::domain::host::{CoreSettings, Host, HostSecurity, HostSpec};
use crate::domain::ids::{HostId, NodeId, ServiceId};
use crate::domain::inbound::{Inbound, InboundConfig, Network, Protocol, Security};
use crate::domain::panel_address::reachable_node;

use super::core_settings;

/// A host with its inbound and services.
#[derive(Clone, Debug)]
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
    /// `None`: no format supports its protocol or transport.
    pub kind: Option<(Protocol, Network)>,
    pub remark: HostTemplate,
    pub address: HostTemplate,
    /// The host's path is a template; the inbound's path is literal.
    pub path: Option<HostTemplate>,
    /// `None`: neither the host nor the inbound has one.
    pub port: Option<i64>,
    pub sni: Vec<String>,
    pub host: Vec<String>,
    pub security: Security,
    /// The node's WireGuard address with its network.
    pub network_address: Option<IpNet>,
    pub config: InboundConfig,
    pub spec: HostSpec,
    /// The settings of current cores that matter to its connections: its own, and those of the inbound.
    pub core: CoreSettings,
    /// Why no client could use it with these settings.
    pub core_refusal: Option<&'static str>,
}

impl Catalogue {
    /// Prepares hosts. The rows must include the hosts of all chains.
    pub fn new(rows: Vec<HostRow>) -> Self {
        Self::of(rows.into_iter().map(ReadyHost::new).collect())
    }

    fn of(mut hosts: Vec<ReadyHost>) -> Self {
        hosts.sort_by_key(|host| (host.weight, !host.chain_ids.is_empty(), host.id));
        let by_id = hosts.iter().enumerate().map(|(index, host)| (host.id, index)).collect();
        let templates = hosts.iter().flat_map(|host| [Some(&host.remark), Some(&host.address), host.path.as_ref()]);
        let mut names: Vec<String> = templates.flatten().flat_map(HostTemplate::names).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        let is_random = hosts.iter().any(ReadyHost::is_random);
        Self { hosts, by_id, nodes: HashMap::new(), names, is_random }
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
        self.hosts.iter().filter(move |host| {
            let is_in_service = || host.service_ids.iter().any(|id| services.contains(id));
            !host.is_disabled && ((host.universal && !host.bound) || is_in_service())
        })
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

    /// The host with this id.
    pub(super) fn by_id(&self, id: HostId) -> Option<&ReadyHost> {
        self.by_id.get(&id).and_then(|index| self.hosts.get(*index))
    }
}

impl ReadyHost {
    /// True when a text is picked from several or contains `*`.
    fn is_random(&self) -> bool {
        self.spec.address.contains('*')
            || [&self.sni, &self.host]
                .into_iter()
                .any(|texts| texts.len() > 1 || texts.iter().any(|text| text.contains('*')))
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
        let kind = protocol_word
            .as_deref()
            .and_then(Protocol::from_word)
            .zip(Network::from_word(network_word.as_deref().unwrap_or_default()));
        let security = match spec.security {
            HostSecurity::InboundDefault => config.security,
            HostSecurity::None => Security::None,
            HostSecurity::Tls => Security::Tls,
        };
        let core = spec.core_settings.take().unwrap_or_default().or(std::mem::take(&mut config.core));
        let core = kind.map(|(protocol, network)| core_settings::relevant(core, protocol, network, security));
        let core = core.unwrap_or_default();
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
            kind,
            remark: HostTemplate::lenient(&spec.remark),
            address: HostTemplate::lenient(&spec.address),
            path: non_empty(spec.path.as_deref())
                .map(HostTemplate::lenient)
                .or_else(|| config.path.as_deref().map(HostTemplate::verbatim)),
            port: spec.port.or(config.port),
            sni: listed(spec.sni.as_deref(), &config.sni),
            host: listed(spec.host.as_deref(), &config.host),
            security,
            network_address: config.address.as_deref().and_then(|address| address.parse().ok()),
            config,
            spec,
            core_refusal: core.refusal(),
            core,
        }
    }
}

/// The text, unless it is empty.
pub(super) fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// The names of a comma-separated list, in ASCII; the inbound's names when the list is empty.
fn listed(own: Option<&str>, inbound: &[String]) -> Vec<String> {
    let own: Vec<&str> = own.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if own.is_empty() {
        let names = inbound.iter().flat_map(|names| names.split(',')).map(str::trim);
        names.filter(|name| !name.is_empty()).map(ascii_name).collect()
    } else {
        own.into_iter().map(ascii_name).collect()
    }
}
