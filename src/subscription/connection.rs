//! How clients connect to a host. Whatever depends on the host alone is worked out here, once for many renderings; texts
//! with variables are left for each user.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::OnceLock;

use ipnet::IpNet;
use uuid::Uuid;

use super::core_settings;
use super::early_data::EarlyData;
use super::formats::xhttp::Xhttp;
use super::refusal::{Judged, Reason, Refusal};
use super::transport_rules;
use crate::domain::address::{self, ascii_name};
use crate::domain::host::template::HostTemplate;
use crate::domain::host::{CoreSettings, Fingerprint, HostSecurity, HostSpec};
use crate::domain::inbound::{InboundConfig, Network, Protocol, Security};

/// The Shadowsocks cipher of hosts without one.
const DEFAULT_METHOD: &str = "chacha20-ietf-poly1305";
/// The nodes' protocol has a key for each user, and does not say what becomes of it with these ciphers.
const UNKNOWN_KEYS: Reason = "it uses Shadowsocks 2022, and the node's way of making user keys is not known";

/// A text of a host, with what is read from it.
#[derive(Clone, Debug)]
pub(super) enum Text<T> {
    /// The same for everybody.
    Fixed(T),
    /// Another for each user or rendering: it has variables or stars.
    Template(HostTemplate),
}

/// The settings of a connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub protocol: Protocol,
    /// The transport that clients need to be told.
    pub network: Network,
    pub security: Security,
    pub address: Text<String>,
    pub port: u16,
    /// The path, service name, seed or peer key, depending on protocol and transport, with the bytes of early data.
    pub path: Text<EarlyData<'static>>,
    /// The server names, of which a rendering picks one.
    pub sni: Vec<String>,
    /// The Host headers, likewise.
    pub host: Vec<String>,
    /// The Host header of hosts without that list.
    pub host_header: Option<String>,
    /// The other headers.
    pub headers: Vec<(String, String)>,
    pub header_type: Option<String>,
    pub flow: Option<&'static str>,
    pub fingerprint: Option<String>,
    pub alpn: &'static [&'static str],
    pub method: String,
    /// The UUID of an unbound host, in its usual spelling.
    pub uuid: String,
    /// The node's WireGuard address with its network.
    pub network_address: Option<IpNet>,
    /// The networks that WireGuard routes.
    pub allowed_ips: Vec<String>,
    /// The settings of current cores that matter to the connection.
    pub core: CoreSettings,
    pub xhttp: Option<Xhttp>,
    /// The length in bytes of the texts that documents show unchanged, about.
    pub shown_size: usize,
    early_data: Option<u32>,
    /// Why clients refuse it, by format, once an entry has been judged; the same for all users unless a text is a template.
    refusals: Judged,
}

impl Connection {
    /// The connection of a host; an error if no client could use it. The words are protocol and network, those of the
    /// inbound of a bound host. Takes the core settings out of `spec` and `config`.
    pub fn new(
        (protocol, network): (Option<&str>, Option<&str>),
        is_bound: bool,
        spec: &mut HostSpec,
        config: &mut InboundConfig,
    ) -> Result<Self, Reason> {
        let own = spec.core_settings.take().unwrap_or_default();
        let core = own.or(std::mem::take(&mut config.core));
        let (spec, config) = (&*spec, &*config);
        let security = match spec.security {
            HostSecurity::InboundDefault => config.security,
            HostSecurity::None => Security::None,
            HostSecurity::Tls => Security::Tls,
        };
        let kind = protocol.and_then(Protocol::from_word).zip(Network::from_word(network.unwrap_or_default()));
        let is_keyed = is_bound && protocol == Some("shadowsocks2022");
        let (protocol, network) =
            kind.ok_or(if is_keyed { UNKNOWN_KEYS } else { "no format supports its protocol or transport" })?;
        let network = transport_rules::network(protocol, network, security);
        let core = core_settings::relevant(core, protocol, network, security);
        if let Some(reason) = core.refusal() {
            return Err(reason);
        }
        let port = spec.port.or(config.port).ok_or("it has no port")?;
        let early_data = spec.early_data.filter(|_| matches!(network, Network::Ws | Network::HttpUpgrade));
        let early_data =
            early_data.map(u32::try_from).transpose().map_err(|_| "its early data is not a number of bytes")?;
        let method =
            non_empty(spec.shadowsocks_method.as_deref()).or(config.method.as_deref()).unwrap_or(DEFAULT_METHOD);
        if is_bound && protocol == Protocol::Shadowsocks && method.starts_with("2022-") {
            return Err(UNKNOWN_KEYS);
        }
        let header_type =
            core.obfs.as_deref().or(non_empty(spec.header_type.as_deref())).or(config.header_type.as_deref());
        let header_type = transport_rules::header_type(header_type, protocol);
        let flow = non_empty(spec.flow.as_deref()).or(config.flow.as_deref());
        let flow = transport_rules::flow(flow, protocol, network, header_type, security, core.encryption.is_some())?;
        let (host_header, headers) = transport_rules::headers(spec, network);
        let own_path = non_empty(spec.path.as_deref()).map(HostTemplate::lenient);
        let path = own_path.or_else(|| config.path.as_deref().map(HostTemplate::verbatim));
        let path = match path.filter(|_| core.obfs.is_none() && core.obfs_password.is_none()) {
            Some(template) if template.literal().is_none() => Text::Template(template),
            // The password of the obfuscation stands in the place of the path.
            literal => {
                let text = core.obfs_password.as_deref().or(literal.as_ref().and_then(HostTemplate::literal));
                Text::Fixed(finished_path(network, text.unwrap_or_default().into(), early_data).into_owned())
            }
        };
        let address = HostTemplate::lenient(&spec.address);
        let address = match address.literal().filter(|text| !text.contains('*')) {
            Some(text) => Text::Fixed(cleaned_address(text.into())?.into_owned()),
            None => Text::Template(address),
        };
        let fingerprint = match spec.fingerprint {
            Fingerprint::None => config.fingerprint.clone(),
            chosen => Some(chosen.word().to_owned()),
        };
        let is_wireguard = protocol == Protocol::Wireguard;
        Ok(Self {
            address,
            port: u16::try_from(port).ok().filter(|port| *port > 0).ok_or("its port is not between 1 and 65535")?,
            path,
            sni: listed(spec.sni.as_deref(), &config.sni),
            host: listed(spec.host.as_deref(), &config.host),
            header_type: header_type.map(str::to_owned),
            flow,
            fingerprint,
            alpn: transport_rules::alpn(spec.alpn, protocol, network),
            method: method.to_owned(),
            uuid: canonical(spec.uuid.as_deref().unwrap_or_default()),
            network_address: config.address.as_deref().filter(|_| is_wireguard).and_then(|net| net.parse().ok()),
            allowed_ips: if is_wireguard { allowed_ips(spec) } else { Vec::new() },
            xhttp: (network == Network::SplitHttp).then(|| Xhttp::new(&headers, spec, &core)),
            shown_size: core.size() + spec.size(),
            early_data,
            refusals: Default::default(),
            protocol,
            network,
            security,
            host_header,
            headers,
            core,
        })
    }
}

impl Connection {
    /// The path that a template became.
    pub fn finished_path<'a>(&self, filled: Cow<'a, str>) -> EarlyData<'a> {
        finished_path(self.network, filled, self.early_data)
    }

    /// The cell for the reasons of a format; `None` if they are not the same for all users.
    pub fn refusals(&self, format: usize) -> Option<&OnceLock<Vec<Refusal>>> {
        let is_fixed = matches!((&self.address, &self.path), (Text::Fixed(_), Text::Fixed(_)));
        self.refusals.get(format).filter(|_| is_fixed)
    }

    /// True when a text is picked from several or contains `*`.
    pub fn is_random(&self) -> bool {
        let has_star = |text: &String| text.contains('*');
        [&self.sni, &self.host].into_iter().any(|texts| texts.len() > 1 || texts.iter().any(has_star))
    }

    /// Bytes of its texts in memory, about.
    pub fn size(&self) -> usize {
        self.shown_size + self.sni.iter().chain(&self.host).map(String::len).sum::<usize>()
    }

    /// The templates among its texts.
    pub fn templates(&self) -> impl Iterator<Item = &HostTemplate> {
        [self.address.template(), self.path.template()].into_iter().flatten()
    }
}

impl<T> Text<T> {
    const fn template(&self) -> Option<&HostTemplate> {
        match self {
            Self::Fixed(_) => None,
            Self::Template(template) => Some(template),
        }
    }
}

/// The address, cleaned; hosts stored by older versions may have any text.
pub(super) fn cleaned_address(text: Cow<'_, str>) -> Result<Cow<'_, str>, Reason> {
    let invalid = |_| "its address is neither a name nor an IP address";
    match text {
        Cow::Borrowed(text) => address::cleaned(text).map_err(invalid),
        Cow::Owned(text) => address::cleaned(&text).map(|clean| clean.into_owned().into()).map_err(invalid),
    }
}

/// The path as clients get it, and the bytes of early data.
fn finished_path(network: Network, text: Cow<'_, str>, early_data: Option<u32>) -> EarlyData<'_> {
    let EarlyData { path, bytes } = EarlyData::of(network, Some(text).filter(|text| !text.is_empty()), early_data);
    EarlyData { path: transport_rules::path(network, path), bytes }
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

/// The networks that WireGuard routes; all of them unless the host says otherwise.
fn allowed_ips(spec: &HostSpec) -> Vec<String> {
    let listed = spec.allowed_ips.as_deref().unwrap_or_default();
    let parts = listed.split(',').map(str::trim).filter(|part| !part.is_empty());
    // An address is the network that has only this one.
    let network =
        |part: &str| part.parse::<IpAddr>().map_or_else(|_| part.to_owned(), |ip| IpNet::from(ip).to_string());
    let own: Vec<String> = parts.map(network).collect();
    if own.is_empty() { ["0.0.0.0/0", "::/0"].map(str::to_owned).to_vec() } else { own }
}

/// A UUID in its usual spelling; other texts stay, because Xray accepts them.
fn canonical(uuid: &str) -> String {
    Uuid::try_parse(uuid).map_or_else(|_| uuid.to_owned(), |parsed| parsed.hyphenated().to_string())
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
