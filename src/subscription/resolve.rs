//! Resolves the hosts that a user sees to entries: templates filled, credentials set, random choices made, and hosts left
//! out that no client could use.

use std::borrow::Cow;

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};
use uuid::Uuid;

use crate::domain::address;
use crate::domain::credentials::Credentials;
use crate::domain::host::template::{HostTemplate, MISSING};
use crate::domain::host::{Fingerprint, HostSpec, NO_CORE_SETTINGS};
use crate::domain::inbound::{Network, Protocol, Security};

use super::catalogue::{ReadyHost, non_empty};
use super::early_data::EarlyData;
use super::entry::Entry;
use super::format::{Format, Order, Reason};
use super::request::Request;
use super::transport_rules;
use super::wireguard_address::client_address;

const DEFAULT_METHOD: &str = "chacha20-ietf-poly1305";
const NIL_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// The nodes' protocol has a key for each user, and does not say what becomes of it with these ciphers.
const UNKNOWN_KEYS: Reason = "it uses Shadowsocks 2022, and the node's way of making user keys is not known";

/// Hosts that traffic passes after the first one, at most.
pub const MAX_HOPS: usize = 16;
/// Replaced `*` of a text, at most.
const MAX_SALTS: usize = 64;

/// The data that all entries of one rendering share.
pub(super) struct Resolver<'a> {
    format: &'a Format,
    request: &'a Request<'a>,
    credentials: &'a Credentials,
    /// 16 random hex digits, the replacement of each `*` in addresses, server names and Host headers.
    salt: String,
}

impl<'a> Resolver<'a> {
    /// Starts a rendering with a new salt.
    pub(super) fn new(
        format: &'a Format,
        request: &'a Request<'a>,
        credentials: &'a Credentials,
        rng: &mut dyn Rng,
    ) -> Self {
        Self { format, request, credentials, salt: format!("{:016x}", rng.next_u64()) }
    }

    /// The hosts that the user sees, in the order of the document.
    pub(super) fn hosts(&self, rng: &mut dyn Rng) -> Vec<&'a ReadyHost> {
        let Request { variables, catalogue, settings, .. } = self.request;
        let mut hosts: Vec<&ReadyHost> = catalogue.of_services(&variables.user().service_ids).collect();
        match self.format.order {
            Order::HostId => hosts.sort_by_key(|host| host.id),
            Order::Weight if settings.shuffle_configs => hosts.shuffle(rng),
            Order::Weight => {}
        }
        hosts
    }

    /// A host with its hops. A host with a missing hop is left out: its traffic would take another route than intended.
    pub(super) fn entry(&self, host: &'a ReadyHost, rng: &mut dyn Rng) -> Result<Entry<'a>, Reason> {
        if !host.chain_ids.is_empty() && !self.format.has_chains {
            return Err("the format does not support chains");
        }
        if host.chain_ids.len() > MAX_HOPS {
            return Err("its chain is too long");
        }
        let mut entry = self.without_hops(host, rng)?;
        for id in host.chain_ids.iter().filter(|id| **id != host.id) {
            let hop = self.request.catalogue.by_id(*id).ok_or("a host of its chain does not exist")?;
            entry.hops.push(self.without_hops(hop, rng).map_err(|_| "a host of its chain is left out")?);
        }
        Ok(entry)
    }

    fn without_hops(&self, host: &'a ReadyHost, rng: &mut dyn Rng) -> Result<Entry<'a>, Reason> {
        let is_keyed = host.bound && host.protocol_word.as_deref() == Some("shadowsocks2022");
        let (protocol, network) =
            host.kind.ok_or(if is_keyed { UNKNOWN_KEYS } else { "no format supports its protocol or transport" })?;
        let (spec, config, security) = (&host.spec, &host.config, host.security);
        let network = transport_rules::network(protocol, network, security);
        if !(self.format.supports)(protocol, network) {
            return Err("the format does not support its protocol or transport");
        }
        if let Some(reason) = host.core_refusal {
            return Err(reason);
        }
        let core = &host.core;
        let port = host.port.ok_or("it has no port")?;
        let (uuid, password, wireguard_key) = self.credentials_for(host, protocol)?;
        let (sni, host_name) = self.names(host, rng);
        let path = host.path.as_ref().map(|path| self.fill(path, host)).filter(|path| !path.is_empty());
        let EarlyData { path, bytes: early_data } = EarlyData::of(network, path, spec.early_data)?;
        let (host_header, headers) = transport_rules::headers(spec, network);
        let header_type = transport_rules::header_type(
            core.obfs.as_deref().or(non_empty(spec.header_type.as_deref())).or(config.header_type.as_deref()),
            protocol,
        );
        // The password of the obfuscation stands in the place of the path.
        let obfs_password = core.obfs_password.as_deref().map(Cow::Borrowed);
        let path = if core.obfs.is_some() { obfs_password } else { obfs_password.or(path) };
        let method = non_empty(spec.shadowsocks_method.as_deref()).or(config.method.as_deref());
        let flow = non_empty(spec.flow.as_deref()).or(config.flow.as_deref());
        let address = self.address(host)?;
        let entry = Entry {
            remark: named(self.fill(&host.remark, host), &address),
            address,
            port: u16::try_from(port).ok().filter(|port| *port > 0).ok_or("its port is not between 1 and 65535")?,
            protocol,
            network,
            uuid,
            password,
            wireguard_key,
            client_address: self.client_address(host, protocol),
            security,
            sni,
            host: host_name.or(host_header.map(Cow::Borrowed)),
            path: transport_rules::path(network, path),
            headers,
            early_data,
            header_type,
            flow: transport_rules::flow(flow, protocol, network, header_type, security, core.encryption.is_some())?,
            fingerprint: transport_rules::fingerprint(
                match spec.fingerprint {
                    Fingerprint::None => config.fingerprint.as_deref(),
                    chosen => Some(chosen.word()),
                },
                &self.request.client,
            ),
            alpn: transport_rules::alpn(spec.alpn, protocol, network),
            reality_public_key: config.reality_public_key.as_deref(),
            reality_short_id: config.reality_short_id.as_deref(),
            shadowtls_version: spec.shadowtls_version.or(config.shadowtls_version),
            method: method.unwrap_or(DEFAULT_METHOD),
            core,
            spec,
            hops: Vec::new(),
        };
        if host.bound && protocol == Protocol::Shadowsocks && entry.method.starts_with("2022-") {
            return Err(UNKNOWN_KEYS);
        }
        if let Some(reason) = transport_rules::refusal(&entry) {
            return Err(reason);
        }
        (self.format.refusal)(&entry, &self.request.client).map_or(Ok(entry), Err)
    }

    /// The address, cleaned; hosts stored by older versions may have any text.
    fn address(&self, host: &'a ReadyHost) -> Result<Cow<'a, str>, Reason> {
        let filled = self.fill(&host.address, host);
        if filled.contains(MISSING) {
            return Err("its address names a variable that has no value");
        }
        let salted = if filled.contains('*') { filled.replacen('*', &self.salt, MAX_SALTS).into() } else { filled };
        let invalid = "its address is neither a name nor an IP address";
        match salted {
            Cow::Borrowed(text) => address::cleaned(text).map_err(|_| invalid),
            Cow::Owned(text) => address::cleaned(&text).map(|clean| clean.into_owned().into()).map_err(|_| invalid),
        }
    }

    /// UUID, password and WireGuard key: the user's for bound hosts, the host's own for unbound ones.
    fn credentials_for(
        &self,
        host: &'a ReadyHost,
        protocol: Protocol,
    ) -> Result<(Cow<'a, str>, &'a str, &'a str), Reason> {
        let (uuid, password) = if host.bound {
            (self.credentials.uuid.as_str(), self.credentials.password.as_str())
        } else {
            (host.spec.uuid.as_deref().unwrap_or_default(), host.spec.password.as_deref().unwrap_or_default())
        };
        let wireguard_key = self.credentials.wireguard_key.as_deref().unwrap_or_default();
        let is_missing = match protocol {
            Protocol::Vmess | Protocol::Vless | Protocol::Tuic => uuid.is_empty(),
            Protocol::Trojan | Protocol::Shadowsocks | Protocol::Hysteria2 | Protocol::Anytls => password.is_empty(),
            Protocol::Wireguard => wireguard_key.is_empty(),
            // Only versions 2 and 3 have a password.
            Protocol::Shadowtls => false,
        };
        if is_missing {
            return Err("it has no credential");
        }
        Ok((canonical(uuid), password, wireguard_key))
    }

    fn client_address(&self, host: &ReadyHost, protocol: Protocol) -> Option<String> {
        let network = host.network_address.filter(|_| protocol == Protocol::Wireguard)?;
        Some(client_address(network, self.request.variables.user().id.0))
    }

    /// The only entry of a user whose account does not work: it connects to nothing, and its name says why. `None`
    /// when the format has no such entries.
    pub(super) fn placeholder(&self, remark: &str, empty_spec: &'a HostSpec) -> Option<Entry<'a>> {
        let (protocol, network) = (Protocol::Vmess, Network::Tcp);
        if !(self.format.supports)(protocol, network) {
            return None;
        }
        let remark = HostTemplate::lenient(remark)
            .fill(|name| self.request.variables.get(name, Some(protocol.word()), Some(network.word())));
        Some(Entry {
            remark: remark.into(),
            address: "127.0.0.1".into(),
            port: 80,
            protocol,
            network,
            uuid: NIL_UUID.into(),
            password: "",
            wireguard_key: "",
            client_address: None,
            security: Security::None,
            sni: None,
            host: None,
            path: None,
            headers: Vec::new(),
            early_data: None,
            header_type: None,
            flow: None,
            fingerprint: None,
            alpn: &[],
            reality_public_key: None,
            reality_short_id: None,
            shadowtls_version: None,
            method: DEFAULT_METHOD,
            core: &NO_CORE_SETTINGS,
            spec: empty_spec,
            hops: Vec::new(),
        })
    }

    fn fill(&self, template: &'a HostTemplate, host: &'a ReadyHost) -> Cow<'a, str> {
        match template.literal() {
            Some(text) => Cow::Borrowed(text),
            None => {
                let (protocol, network) = (host.protocol_word.as_deref(), host.network_word.as_deref());
                let node = self.request.catalogue.node_address(host);
                let value = |name: &str| match (name, node) {
                    ("SERVER_IP", Some(node)) => Some(node),
                    // A node with another kind of address may be on the panel's own machine.
                    ("SERVER_IPV6", Some(node)) if node.contains(':') => Some(node),
                    _ => self.request.variables.get(name, protocol, network),
                };
                template.fill(value).into()
            }
        }
    }

    /// A random server name and a random Host header. Of lists of equal length, both from the same position: a server
    /// behind a network of proxies refuses a name with the Host header of another.
    fn names(&self, host: &'a ReadyHost, rng: &mut dyn Rng) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
        let mut random = |length: usize| if length > 1 { rng.random_range(0..length) } else { 0 };
        let first = random(host.sni.len());
        let second = if host.sni.len() == host.host.len() { first } else { random(host.host.len()) };
        (self.salted(host.sni.get(first)), self.salted(host.host.get(second)))
    }

    /// The name with the salt in place of each `*`, up to a number that no name needs.
    fn salted(&self, name: Option<&'a String>) -> Option<Cow<'a, str>> {
        let name = name?;
        Some(if name.contains('*') { name.replacen('*', &self.salt, MAX_SALTS).into() } else { name.as_str().into() })
    }
}

/// The name that clients show. sing-box refuses a document with an entry without a name.
fn named<'a>(remark: Cow<'a, str>, address: &str) -> Cow<'a, str> {
    if remark.is_empty() { address.to_owned().into() } else { remark }
}

/// A UUID in its usual spelling; other texts stay, because Xray accepts them.
fn canonical(uuid: &str) -> Cow<'_, str> {
    let is_usual =
        uuid.len() == NIL_UUID.len() && uuid.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    if is_usual {
        return uuid.into();
    }
    Uuid::try_parse(uuid).map_or(uuid.into(), |parsed| parsed.hyphenated().to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_written_in_their_usual_spelling() {
        let usual = "5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11";
        for spelling in [
            usual,
            "5F0C1F3E-6F5C-4F1E-9D2B-3F6F0A8C7B11",
            "{5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11}",
            "urn:uuid:5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11",
            "5f0c1f3e6f5c4f1e9d2b3f6f0a8c7b11",
        ] {
            assert_eq!(canonical(spelling), usual, "{spelling}");
        }
        assert_eq!(canonical("my name"), "my name");
    }
}
