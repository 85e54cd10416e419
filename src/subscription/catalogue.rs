//! All hosts, made ready once: templates read, inbounds' texts parsed, order set. Rendering only borrows from it.

use std::collections::HashMap;

use ipnet::IpNet;

use crate::domain::host::template::HostTemplate;
use crate::domain::host::{Host, HostSecurity, HostSpec};
use crate::domain::ids::{HostId, ServiceId};
use crate::domain::inbound::{Inbound, InboundConfig, Network, Protocol, Security};

/// A host with what belongs to it.
#[derive(Clone, Debug)]
pub struct HostRow {
    /// The host.
    pub host: Host,
    /// The inbound that it shows, when it is bound.
    pub inbound: Option<Inbound>,
    /// The services that give it: its inbound's when bound, else its own.
    pub service_ids: Vec<ServiceId>,
}

/// Hosts made ready for rendering. Holds for any number of users, until a host, an inbound or a service changes.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// By weight, then those without a chain first, then by id.
    hosts: Vec<ReadyHost>,
    by_id: HashMap<HostId, usize>,
    /// What templates name, each once.
    names: Vec<String>,
    takes_chances: bool,
}

/// A host made ready: what it says itself and what it takes from its inbound are put together.
#[derive(Clone, Debug)]
pub(super) struct ReadyHost {
    pub id: HostId,
    pub bound: bool,
    pub is_disabled: bool,
    pub universal: bool,
    pub weight: i64,
    pub service_ids: Vec<ServiceId>,
    pub chain_ids: Vec<HostId>,
    /// The words that templates show.
    pub protocol_word: Option<String>,
    pub network_word: Option<String>,
    /// `None`: nothing that any format carries.
    pub kind: Option<(Protocol, Network)>,
    pub remark: HostTemplate,
    pub address: HostTemplate,
    /// A host's path is a template, an inbound's is not.
    pub path: Option<HostTemplate>,
    pub port: i64,
    pub sni: Vec<String>,
    pub host: Vec<String>,
    pub security: Security,
    /// The node's own WireGuard address with its network.
    pub network_address: Option<IpNet>,
    pub config: InboundConfig,
    pub spec: HostSpec,
}

impl Catalogue {
    /// Makes hosts ready. The rows must hold the hosts that others chain to as well.
    pub fn new(rows: Vec<HostRow>) -> Self {
        let mut hosts: Vec<ReadyHost> = rows.into_iter().map(ReadyHost::new).collect();
        hosts.sort_by_key(|host| (host.weight, !host.chain_ids.is_empty(), host.id));
        let by_id = hosts.iter().enumerate().map(|(at, host)| (host.id, at)).collect();
        let templates = hosts.iter().flat_map(|host| [Some(&host.remark), Some(&host.address), host.path.as_ref()]);
        let mut names: Vec<String> = templates.flatten().flat_map(HostTemplate::names).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        let takes_chances = hosts.iter().any(ReadyHost::takes_chances);
        Self { hosts, by_id, names, takes_chances }
    }

    /// The names in the templates of all hosts.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether two renderings of the same may differ.
    pub(super) const fn takes_chances(&self) -> bool {
        self.takes_chances
    }

    /// The hosts that a user with these services sees, in order.
    pub(super) fn of_services<'a>(&'a self, services: &'a [ServiceId]) -> impl Iterator<Item = &'a ReadyHost> {
        self.hosts.iter().filter(move |host| {
            let given = || host.service_ids.iter().any(|id| services.contains(id));
            !host.is_disabled && ((host.universal && !host.bound) || given())
        })
    }

    /// One host.
    pub(super) fn by_id(&self, id: HostId) -> Option<&ReadyHost> {
        self.by_id.get(&id).and_then(|at| self.hosts.get(*at))
    }
}

impl ReadyHost {
    /// One of several texts is picked, or stars become digits.
    fn takes_chances(&self) -> bool {
        [&self.sni, &self.host].into_iter().any(|texts| texts.len() > 1 || texts.iter().any(|text| text.contains('*')))
    }

    fn new(row: HostRow) -> Self {
        let HostRow { host, inbound, service_ids } = row;
        let spec = host.spec;
        let config = inbound.as_ref().map(|inbound| InboundConfig::parse(&inbound.config)).unwrap_or_default();
        let bound = inbound.is_some();
        let (protocol_word, network_word) = match inbound {
            Some(inbound) => (Some(inbound.protocol), config.network.clone()),
            None => (spec.protocol.clone(), spec.network.clone()),
        };
        let kind = protocol_word
            .as_deref()
            .and_then(Protocol::from_word)
            .zip(Network::from_word(network_word.as_deref().unwrap_or_default()));
        Self {
            id: host.id,
            bound,
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
            path: said(spec.path.as_deref())
                .map(HostTemplate::lenient)
                .or_else(|| config.path.as_deref().map(HostTemplate::verbatim)),
            port: spec.port.or(config.port).unwrap_or_default(),
            sni: listed(spec.sni.as_deref(), &config.sni),
            host: listed(spec.host.as_deref(), &config.host),
            security: match spec.security {
                HostSecurity::InboundDefault => config.security,
                HostSecurity::None => Security::None,
                HostSecurity::Tls => Security::Tls,
            },
            network_address: config.address.as_deref().and_then(|address| address.parse().ok()),
            config,
            spec,
        }
    }
}

/// A text that says something.
pub(super) fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// The texts of a comma list, or else the inbound's.
fn listed(own: Option<&str>, inbound: &[String]) -> Vec<String> {
    let own: Vec<String> =
        own.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if own.is_empty() { inbound.to_vec() } else { own }
}
