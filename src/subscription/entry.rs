//! Entries: which hosts a user sees, in what order, and what each comes to for this user at this moment.

use std::borrow::Cow;

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};

use crate::domain::credentials::Credentials;
use crate::domain::host::template::HostTemplate;
use crate::domain::host::{Alpn, Fingerprint, HostSpec};
use crate::domain::inbound::{Network, Protocol, Security};

use super::catalogue::{ReadyHost, said};
use super::clash::{self, Dialect};
use super::wireguard_address::client_address;
use super::{Format, LeftOut, Request, links, sing_box, wireguard, xray};

/// One host, resolved. Texts are `None` rather than empty.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The name that people see.
    pub remark: Cow<'a, str>,
    /// Where clients connect to.
    pub address: Cow<'a, str>,
    /// The port.
    pub port: i64,
    /// What is spoken.
    pub protocol: Protocol,
    /// What carries it.
    pub network: Network,
    /// The credential of VMess, VLESS and TUIC.
    pub uuid: &'a str,
    /// The credential of the others.
    pub password: &'a str,
    /// WireGuard's private key.
    pub wireguard_key: &'a str,
    /// WireGuard's own address, with its prefix.
    pub client_address: Option<String>,
    /// TLS.
    pub security: Security,
    /// The server name of TLS.
    pub sni: Option<Cow<'a, str>>,
    /// The Host header, or what the transport has in its place.
    pub host: Option<Cow<'a, str>>,
    /// Path, service name, seed, peer key: as the transport has it.
    pub path: Option<Cow<'a, str>>,
    /// The header type.
    pub header_type: Option<&'a str>,
    /// VLESS's flow.
    pub flow: Option<&'a str>,
    /// Whose handshake is imitated.
    pub fingerprint: Option<&'a str>,
    /// The protocols offered in the handshake.
    pub alpn: Alpn,
    /// REALITY's public key.
    pub reality_public_key: Option<&'a str>,
    /// REALITY's short id.
    pub reality_short_id: Option<&'a str>,
    /// ShadowTLS's version.
    pub shadowtls_version: Option<i64>,
    /// Shadowsocks's cipher.
    pub method: &'a str,
    /// What is rendered as the host has it.
    pub spec: &'a HostSpec,
    /// What traffic goes through after this, in order.
    pub hops: Vec<Entry<'a>>,
}

const DEFAULT_METHOD: &str = "chacha20-ietf-poly1305";
const NO_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// Why a host is no entry.
pub(super) type Reason = &'static str;

/// What all entries of one rendering share.
struct Rendering<'a> {
    format: Format,
    request: &'a Request<'a>,
    credentials: &'a Credentials,
    /// What stars become.
    salt: String,
}

/// A user's entries in a format, in the order to show them, and the hosts that are not among them.
pub(super) fn entries<'a>(
    format: Format,
    request: &'a Request<'a>,
    credentials: &'a Credentials,
    blank: &'a HostSpec,
    chance: &mut dyn Rng,
) -> (Vec<Entry<'a>>, Vec<LeftOut>) {
    let user = request.variables.user();
    let rendering = Rendering { format, request, credentials, salt: format!("{:016x}", chance.next_u64()) };
    if request.is_for_placeholder() {
        return (rendering.placeholder(blank).into_iter().collect(), Vec::new());
    }
    let mut shown: Vec<&ReadyHost> = request.catalogue.of_services(&user.service_ids).collect();
    if format.orders_by_id() {
        shown.sort_by_key(|host| host.id);
    } else if request.settings.shuffle_configs {
        shown.shuffle(chance);
    }
    let mut entries = Vec::with_capacity(shown.len());
    let mut left_out = Vec::new();
    for host in shown {
        match rendering.chained(host, chance) {
            Ok(entry) => entries.push(entry),
            Err(reason) => left_out.push(LeftOut { host: host.id, reason }),
        }
    }
    (entries, left_out)
}

impl<'a> Rendering<'a> {
    /// A host with its hops. Without one of the hops traffic would take another way than meant: then there is no entry.
    fn chained(&self, host: &'a ReadyHost, chance: &mut dyn Rng) -> Result<Entry<'a>, Reason> {
        if !host.chain_ids.is_empty() && !self.format.carries_chains() {
            return Err("the format has no chains");
        }
        let mut entry = self.entry(host, chance)?;
        for id in host.chain_ids.iter().filter(|id| **id != host.id) {
            let hop = self.request.catalogue.by_id(*id).ok_or("a host that it goes through is not there")?;
            entry.hops.push(self.entry(hop, chance).map_err(|_| "a host that it goes through is left out itself")?);
        }
        Ok(entry)
    }

    /// A host alone, unless the format or the program cannot carry it or it has no credential.
    fn entry(&self, host: &'a ReadyHost, chance: &mut dyn Rng) -> Result<Entry<'a>, Reason> {
        let (protocol, network) = host.kind.ok_or("no format carries its protocol or its transport")?;
        if !self.format.carries(protocol, network) {
            return Err("the format does not carry its protocol or its transport");
        }
        let spec = &host.spec;
        let (uuid, password) = if host.bound {
            (self.credentials.uuid.as_str(), self.credentials.password.as_str())
        } else {
            (spec.uuid.as_deref().unwrap_or_default(), spec.password.as_deref().unwrap_or_default())
        };
        let wireguard_key = self.credentials.wireguard_key.as_deref().unwrap_or_default();
        let needed = match protocol {
            Protocol::Vmess | Protocol::Vless | Protocol::Tuic => uuid,
            Protocol::Trojan | Protocol::Shadowsocks | Protocol::Hysteria2 => password,
            Protocol::Wireguard => wireguard_key,
            // Whether ShadowTLS has one depends on its version, and it leads nowhere alone.
            Protocol::Shadowtls => password,
        };
        if needed.is_empty() && protocol != Protocol::Shadowtls {
            return Err("it has no credential");
        }
        let entry = Entry {
            remark: self.fill(&host.remark, host),
            address: self.fill(&host.address, host),
            port: host.port,
            protocol,
            network,
            uuid,
            password,
            wireguard_key,
            client_address: (protocol == Protocol::Wireguard)
                .then_some(host.network_address)
                .flatten()
                .map(|network| client_address(network, self.request.variables.user().id.0)),
            security: host.security,
            sni: self.pick(&host.sni, chance),
            host: self.pick(&host.host, chance),
            path: host.path.as_ref().map(|path| self.fill(path, host)).filter(|path| !path.is_empty()),
            header_type: said(spec.header_type.as_deref()).or(host.config.header_type.as_deref()),
            flow: said(spec.flow.as_deref()).or(host.config.flow.as_deref()),
            fingerprint: match spec.fingerprint {
                Fingerprint::None => host.config.fingerprint.as_deref(),
                chosen => Some(chosen.word()),
            },
            alpn: spec.alpn,
            reality_public_key: host.config.reality_public_key.as_deref(),
            reality_short_id: host.config.reality_short_id.as_deref(),
            shadowtls_version: spec.shadowtls_version.or(host.config.shadowtls_version),
            method: said(spec.shadowsocks_method.as_deref()).unwrap_or(DEFAULT_METHOD),
            spec,
            hops: Vec::new(),
        };
        self.format.refusal(&entry, self.request.user_agent).map_or(Ok(entry), Err)
    }

    /// The one entry of a user who is not active: it leads nowhere, its name says why.
    fn placeholder(&self, blank: &'a HostSpec) -> Option<Entry<'a>> {
        let (protocol, network) = (Protocol::Vmess, Network::Tcp);
        if !self.format.carries(protocol, network) {
            return None;
        }
        let remark = HostTemplate::lenient(&self.request.settings.placeholder_remark)
            .fill(|name| self.request.variables.get(name, Some(protocol.word()), Some(network.word())));
        Some(Entry {
            remark: remark.into(),
            address: "127.0.0.1".into(),
            port: 80,
            protocol,
            network,
            uuid: NO_UUID,
            password: "",
            wireguard_key: "",
            client_address: None,
            security: Security::None,
            sni: None,
            host: None,
            path: None,
            header_type: None,
            flow: None,
            fingerprint: None,
            alpn: Alpn::None,
            reality_public_key: None,
            reality_short_id: None,
            shadowtls_version: None,
            method: DEFAULT_METHOD,
            spec: blank,
            hops: Vec::new(),
        })
    }

    fn fill(&self, template: &'a HostTemplate, host: &'a ReadyHost) -> Cow<'a, str> {
        match template.literal() {
            Some(text) => Cow::Borrowed(text),
            None => {
                let (protocol, network) = (host.protocol_word.as_deref(), host.network_word.as_deref());
                template.fill(|name| self.request.variables.get(name, protocol, network)).into()
            }
        }
    }

    /// One of the texts, with random digits for its stars.
    fn pick(&self, from: &'a [String], chance: &mut dyn Rng) -> Option<Cow<'a, str>> {
        let picked = match from {
            [] => return None,
            [only] => only,
            several => &several[chance.random_range(0..several.len())],
        };
        Some(if picked.contains('*') { picked.replace('*', &self.salt).into() } else { picked.as_str().into() })
    }
}

impl Entry<'_> {
    /// What WireGuard routes.
    pub(super) fn allowed_ips(&self) -> Vec<&str> {
        let listed = self.spec.allowed_ips.as_deref().unwrap_or_default();
        let own: Vec<&str> = listed.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if own.is_empty() { vec!["0.0.0.0/0", "::/0"] } else { own }
    }
}

impl Format {
    /// Whether entries can go through others.
    const fn carries_chains(self) -> bool {
        matches!(self, Self::Xray | Self::SingBox)
    }

    /// The others go by weight, or by chance.
    const fn orders_by_id(self) -> bool {
        matches!(self, Self::WireGuard)
    }

    /// Why the program would refuse the whole document for the entry's sake.
    fn refusal(self, entry: &Entry<'_>, user_agent: &str) -> Option<Reason> {
        match self {
            Self::SingBox => sing_box::refusal(entry, user_agent),
            Self::Clash => clash::refusal(Dialect::Clash, entry),
            Self::ClashMeta => clash::refusal(Dialect::Meta, entry),
            Self::Xray => xray::refusal(entry),
            Self::Links | Self::Base64Links | Self::WireGuard => None,
        }
    }

    fn carries(self, protocol: Protocol, network: Network) -> bool {
        match self {
            Self::Links | Self::Base64Links => links::carries(protocol, network),
            Self::Xray => xray::carries(protocol, network),
            Self::SingBox => sing_box::carries(protocol, network),
            Self::Clash => clash::carries(Dialect::Clash, protocol, network),
            Self::ClashMeta => clash::carries(Dialect::Meta, protocol, network),
            Self::WireGuard => wireguard::carries(protocol, network),
        }
    }
}
