//! One host as one user's client uses it at one moment: the input of every format.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::domain::host::{CoreSettings, HostSpec};
use crate::domain::inbound::{Network, Protocol, Security};

/// A resolved host. Optional texts are `None` rather than empty.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The name that clients show.
    pub remark: Cow<'a, str>,
    /// The server's name or address.
    pub address: Cow<'a, str>,
    /// The server's port.
    pub port: u16,
    /// The proxy protocol.
    pub protocol: Protocol,
    /// The transport below the protocol.
    pub network: Network,
    /// The credential of VMess, VLESS and TUIC.
    pub uuid: Cow<'a, str>,
    /// The credential of the other protocols.
    pub password: &'a str,
    /// The client's WireGuard private key.
    pub wireguard_key: &'a str,
    /// The client's WireGuard address with its prefix length.
    pub client_address: Option<String>,
    /// The TLS layer.
    pub security: Security,
    /// The server name in the TLS handshake.
    pub sni: Option<Cow<'a, str>>,
    /// The Host header, or its counterpart in the transport.
    pub host: Option<Cow<'a, str>>,
    /// The path, service name, seed or peer key, depending on protocol and transport.
    pub path: Option<Cow<'a, str>>,
    /// The headers of the transport's requests, without `Host`.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The bytes sent with the first request of a WebSocket.
    pub early_data: Option<u32>,
    /// The transport's header type.
    pub header_type: Option<&'a str>,
    /// The flow of VLESS, in Xray's spelling.
    pub flow: Option<&'static str>,
    /// The browser whose TLS handshake is imitated.
    pub fingerprint: Option<&'a str>,
    /// The protocols offered in the TLS handshake.
    pub alpn: &'static [&'static str],
    /// The server's REALITY public key.
    pub reality_public_key: Option<&'a str>,
    /// The REALITY short id.
    pub reality_short_id: Option<&'a str>,
    /// The ShadowTLS version.
    pub shadowtls_version: Option<i64>,
    /// The Shadowsocks cipher.
    pub method: &'a str,
    /// The settings of current cores that matter to the connection.
    pub core: &'a CoreSettings,
    /// The host's settings that formats render unchanged.
    pub spec: &'a HostSpec,
    /// The hosts that traffic passes after this one, in order.
    pub hops: Vec<Entry<'a>>,
}

impl Entry<'_> {
    /// The length of its texts in bytes, about; hops included.
    pub(super) fn size(&self) -> usize {
        let filled =
            [Some(&self.remark), Some(&self.address), self.sni.as_ref(), self.host.as_ref(), self.path.as_ref()];
        let filled: usize = filled.into_iter().flatten().map(|text| text.len()).sum();
        filled + self.core.size() + self.spec.size() + self.hops.iter().map(Self::size).sum::<usize>()
    }

    /// The networks that WireGuard routes; all of them unless the host says otherwise.
    pub(super) fn allowed_ips(&self) -> Vec<Cow<'_, str>> {
        let listed = self.spec.allowed_ips.as_deref().unwrap_or_default();
        let parts = listed.split(',').map(str::trim).filter(|part| !part.is_empty());
        // An address is the network that has only this one.
        let network = |part: &'_ str| part.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip).to_string().into());
        let own: Vec<Cow<'_, str>> = parts.map(|part| network(part).unwrap_or(part.into())).collect();
        if own.is_empty() { vec!["0.0.0.0/0".into(), "::/0".into()] } else { own }
    }

    /// The address as it stands before a port: IPv6 addresses in brackets.
    pub(super) fn bracketed_address(&self) -> Cow<'_, str> {
        let address = self.address.as_ref();
        if address.contains(':') { format!("[{address}]").into() } else { address.into() }
    }
}
