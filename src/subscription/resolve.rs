//! Resolves the hosts that a user sees to entries: templates filled, credentials set, random choices made, and hosts left
//! out that no client could use.

use std::borrow::Cow;

use rand::seq::SliceRandom as _;
use rand::{Rng, RngExt as _};
use uuid::Uuid;

use crate::domain::credentials::Credentials;
use crate::domain::host::HostSpec;
use crate::domain::host::template::{HostTemplate, MISSING};
use crate::domain::inbound::{Network, Protocol};

use super::catalogue::{MAX_HOPS, ReadyHost};
use super::client::Age;
use super::connection::{Connection, Text, cleaned_address};
use super::early_data::EarlyData;
use super::entry::Entry;
use super::format::{Format, Order};
use super::refusal::{self, Reason, Refusal, Versions};
use super::request::Request;
use super::transport_rules;
use super::wireguard_address::client_address;

/// Replaced `*` of a text, at most.
const MAX_SALTS: usize = 64;

/// The data that all entries of one rendering share.
pub(super) struct Resolver<'a> {
    format: &'a Format,
    request: &'a Request<'a>,
    credentials: &'a Credentials,
    /// The position of the format in the list of all.
    format_index: usize,
    /// The age of the client's core.
    age: Age,
    /// True when the user's credential is a UUID; a key that another panel made may be none.
    has_uuid: bool,
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
        Self {
            format,
            request,
            credentials,
            format_index: format.index(),
            age: format.core.map_or(Age::Unknown, |core| request.client.age(core)),
            has_uuid: Uuid::try_parse(&credentials.uuid).is_ok(),
            salt: format!("{:016x}", rng.next_u64()),
        }
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
        let connection = host.connection.as_ref().map_err(|reason| *reason)?;
        let (protocol, network) = (connection.protocol, connection.network);
        if !(self.format.supports)(protocol, network) {
            return Err("the format does not support its protocol or transport");
        }
        let (uuid, password, wireguard_key) = self.credentials_for(host, connection)?;
        let (sni, host_name) = self.names(connection, rng);
        let address = match &connection.address {
            Text::Fixed(address) => Cow::Borrowed(address.as_str()),
            Text::Template(template) => self.address(template, host)?,
        };
        let EarlyData { path, bytes: early_data } = match &connection.path {
            Text::Fixed(path) => path.borrowed(),
            Text::Template(template) => connection.finished_path(self.fill(template, host)),
        };
        let entry = Entry {
            remark: named(self.fill(&host.remark, host), &address),
            address,
            port: connection.port,
            protocol,
            network,
            uuid,
            password,
            wireguard_key,
            client_address: self.client_address(connection),
            security: connection.security,
            sni,
            host: host_name.or(connection.host_header.as_deref().map(Cow::Borrowed)),
            path,
            headers: &connection.headers,
            early_data,
            header_type: connection.header_type.as_deref(),
            flow: connection.flow,
            fingerprint: transport_rules::fingerprint(connection.fingerprint.as_deref(), &self.request.client),
            alpn: connection.alpn,
            reality_public_key: host.config.reality_public_key.as_deref(),
            reality_short_id: host.config.reality_short_id.as_deref(),
            shadowtls_version: host.spec.shadowtls_version.or(host.config.shadowtls_version),
            method: &connection.method,
            allowed_ips: &connection.allowed_ips,
            xhttp: connection.xhttp.as_ref(),
            core: &connection.core,
            spec: &host.spec,
            fixed_size: connection.shown_size,
            hops: Vec::new(),
        };
        self.refusal(&entry, host, connection).map_or(Ok(entry), Err)
    }

    /// Why the client refuses the entry. All entries of a host are judged once, unless one user's may differ from another's.
    fn refusal(&self, entry: &Entry<'_>, host: &ReadyHost, connection: &Connection) -> Option<Reason> {
        let judge = || {
            let general = transport_rules::refusal(entry).map(|reason| Refusal { versions: Versions::Any, reason });
            general.into_iter().chain((self.format.refusals)(entry)).collect()
        };
        let is_the_same = !host.bound || self.has_uuid;
        match connection.refusals(self.format_index).filter(|_| is_the_same) {
            Some(judged) => refusal::first(judged.get_or_init(judge), self.age),
            None => refusal::first(&judge(), self.age),
        }
    }

    /// The address, filled and cleaned.
    fn address(&self, template: &'a HostTemplate, host: &'a ReadyHost) -> Result<Cow<'a, str>, Reason> {
        let filled = self.fill(template, host);
        if filled.contains(MISSING) {
            return Err("its address names a variable that has no value");
        }
        cleaned_address(if filled.contains('*') { filled.replacen('*', &self.salt, MAX_SALTS).into() } else { filled })
    }

    /// UUID, password and WireGuard key: the user's for bound hosts, the host's own for unbound ones.
    fn credentials_for(
        &self,
        host: &'a ReadyHost,
        connection: &'a Connection,
    ) -> Result<(&'a str, &'a str, &'a str), Reason> {
        let (uuid, password) = if host.bound {
            (self.credentials.uuid.as_str(), self.credentials.password.as_str())
        } else {
            (connection.uuid.as_str(), host.spec.password.as_deref().unwrap_or_default())
        };
        let wireguard_key = self.credentials.wireguard_key.as_deref().unwrap_or_default();
        let is_missing = match connection.protocol {
            Protocol::Vmess | Protocol::Vless | Protocol::Tuic => uuid.is_empty(),
            Protocol::Trojan | Protocol::Shadowsocks | Protocol::Hysteria2 | Protocol::Anytls => password.is_empty(),
            Protocol::Wireguard => wireguard_key.is_empty(),
            // Only versions 2 and 3 have a password.
            Protocol::Shadowtls => false,
        };
        if is_missing { Err("it has no credential") } else { Ok((uuid, password, wireguard_key)) }
    }

    fn client_address(&self, connection: &Connection) -> Option<String> {
        connection.network_address.map(|network| client_address(network, self.request.variables.user().id.0))
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
        Some(Entry::placeholder(remark, protocol, network, empty_spec))
    }

    fn fill(&self, template: &'a HostTemplate, host: &'a ReadyHost) -> Cow<'a, str> {
        match template.literal() {
            Some(text) => Cow::Borrowed(text),
            None => {
                let (protocol, network) = (host.protocol_word.as_deref(), host.network_word.as_deref());
                let node = || self.request.catalogue.node_address(host);
                let value = |name: &str| {
                    let of_node = match name {
                        "SERVER_IP" => node(),
                        // A node with another kind of address may be on the panel's own machine.
                        "SERVER_IPV6" => node().filter(|node| node.contains(':')),
                        _ => None,
                    };
                    of_node.or_else(|| self.request.variables.get(name, protocol, network))
                };
                template.fill(value).into()
            }
        }
    }

    /// A random server name and a random Host header. Of lists of equal length, both from the same position: a server
    /// behind a network of proxies refuses a name with the Host header of another.
    fn names(&self, connection: &'a Connection, rng: &mut dyn Rng) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
        let mut random = |length: usize| if length > 1 { rng.random_range(0..length) } else { 0 };
        let Connection { sni, host, .. } = connection;
        let first = random(sni.len());
        let second = if sni.len() == host.len() { first } else { random(host.len()) };
        (self.salted(sni.get(first)), self.salted(host.get(second)))
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

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::domain::credentials::KeyDerivation;
    use crate::domain::host::variables::HostVariables;
    use crate::domain::host::{Host, HostSecurity};
    use crate::domain::ids::{HostId, UserId};
    use crate::domain::moment::Moment;
    use crate::domain::subscription_settings::SubscriptionSettings;
    use crate::domain::user::User;
    use crate::subscription::catalogue::{Catalogue, HostRow};
    use crate::subscription::client::Client;
    use crate::subscription::formats::XRAY;
    use crate::subscription::templates::Templates;

    fn catalogue(address: &str) -> Catalogue {
        let spec = HostSpec {
            remark: "r".to_owned(),
            address: address.to_owned(),
            protocol: Some("vless".to_owned()),
            network: Some("ws".to_owned()),
            uuid: Some("5F0C1F3E-6F5C-4F1E-9D2B-3F6F0A8C7B11".to_owned()),
            port: Some(443),
            path: Some("/a b?ed=2048".to_owned()),
            security: HostSecurity::Tls,
            ..HostSpec::default()
        };
        let host = Host {
            id: HostId(1),
            inbound_id: None,
            is_disabled: false,
            universal: true,
            weight: 1,
            spec,
            service_ids: Vec::new(),
            chain_ids: Vec::new(),
        };
        Catalogue::new(vec![HostRow { host, inbound: None, service_ids: Vec::new() }])
    }

    /// Calls `check` with the only host of a catalogue and its entry.
    fn with_entry(catalogue: &Catalogue, check: impl FnOnce(&ReadyHost, Result<Entry<'_>, Reason>)) {
        let now = Moment::from_micros(0);
        let user = User::bare(UserId(7), "ann", "0123456789abcdef0123456789abcdef", now);
        let request = Request {
            variables: HostVariables::of(&user, "192.0.2.1", now),
            catalogue,
            settings: &SubscriptionSettings::initial(),
            templates: &Templates::default(),
            derivation: KeyDerivation::Xxh128,
            client: Client::of("Xray/26.10.10"),
        };
        let credentials = Credentials::derive(&user.key, request.derivation);
        let mut rng = StdRng::seed_from_u64(1);
        let resolver = Resolver::new(&XRAY, &request, &credentials, &mut rng);
        let host = catalogue.by_id(HostId(1)).expect("the host");
        check(host, resolver.entry(host, &mut rng));
    }

    #[test]
    fn what_depends_on_a_host_alone_is_worked_out_once_for_all_users() {
        let fixed = catalogue(" h.example ");
        with_entry(&fixed, |host, entry| {
            let entry = entry.expect("an entry");
            assert!(matches!(
                (&entry.address, &entry.path),
                (Cow::Borrowed("h.example"), Some(Cow::Borrowed("/a%20b")))
            ));
            assert_eq!((entry.uuid, entry.early_data), ("5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11", Some(2_048)));
            let judged =
                host.connection.as_ref().expect("a connection").refusals(XRAY.index()).expect("the same for all");
            assert!(judged.get().is_some(), "the first entry of the host is judged");
        });
        // The next entry is not judged again: whatever was found counts.
        let judged = catalogue("h.example");
        let connection = judged.by_id(HostId(1)).and_then(|host| host.connection.as_ref().ok()).expect("a connection");
        let cell = connection.refusals(XRAY.index()).expect("the same for all");
        cell.set(vec![Refusal { versions: Versions::Any, reason: "judged before" }]).expect("not judged yet");
        with_entry(&judged, |_, entry| assert_eq!(entry.err(), Some("judged before")));
    }

    #[test]
    fn host_with_another_address_for_each_user_is_judged_for_each() {
        with_entry(&catalogue("{USERNAME}.example"), |host, entry| {
            assert_eq!(entry.expect("an entry").address, "ann.example");
            assert!(host.connection.as_ref().expect("a connection").refusals(XRAY.index()).is_none());
        });
    }
}
