//! One host as one user's client uses it at one moment: the input of every format.

use std::borrow::Cow;

use crate::domain::host::{CoreSettings, HostSpec, NO_CORE_SETTINGS};
use crate::domain::inbound::{Network, Protocol, Security};

use super::formats::xhttp::{self, Xhttp};

const NIL_UUID: &str = "00000000-0000-0000-0000-000000000000";

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
    pub uuid: &'a str,
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
    pub headers: &'a [(String, String)],
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
    /// The networks that WireGuard routes.
    pub allowed_ips: &'a [String],
    /// The settings of XHTTP.
    pub xhttp: Option<&'a Xhttp>,
    /// The settings of current cores that matter to the connection.
    pub core: &'a CoreSettings,
    /// The host's settings that formats render unchanged.
    pub spec: &'a HostSpec,
    /// The length in bytes of the texts in headers and settings, about.
    pub fixed_size: usize,
    /// The hosts that traffic passes after this one, in order.
    pub hops: Vec<Entry<'a>>,
}

impl<'a> Entry<'a> {
    /// An entry that connects to nothing and shows a text.
    pub(super) fn placeholder(remark: String, protocol: Protocol, network: Network, empty_spec: &'a HostSpec) -> Self {
        Self {
            remark: remark.into(),
            address: "127.0.0.1".into(),
            port: 80,
            protocol,
            network,
            uuid: NIL_UUID,
            password: "",
            wireguard_key: "",
            client_address: None,
            security: Security::None,
            sni: None,
            host: None,
            path: None,
            headers: &[],
            early_data: None,
            header_type: None,
            flow: None,
            fingerprint: None,
            alpn: &[],
            reality_public_key: None,
            reality_short_id: None,
            shadowtls_version: None,
            method: "",
            allowed_ips: &[],
            xhttp: None,
            core: &NO_CORE_SETTINGS,
            spec: empty_spec,
            fixed_size: 0,
            hops: Vec::new(),
        }
    }
}

impl Entry<'_> {
    /// The length of its texts in bytes, about; hops included.
    pub(super) fn size(&self) -> usize {
        let filled =
            [Some(&self.remark), Some(&self.address), self.sni.as_ref(), self.host.as_ref(), self.path.as_ref()];
        let filled: usize = filled.into_iter().flatten().map(|text| text.len()).sum();
        filled + self.fixed_size + self.hops.iter().map(Self::size).sum::<usize>()
    }

    /// The headers as names and values.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All settings of XHTTP.
    pub(super) fn xhttp_settings(&self) -> xhttp::Settings<'_> {
        xhttp::Settings::new(self.xhttp, self.headers, self.spec)
    }

    /// The address as it stands before a port: IPv6 addresses in brackets.
    pub(super) fn bracketed_address(&self) -> Cow<'_, str> {
        let address = self.address.as_ref();
        if address.contains(':') { format!("[{address}]").into() } else { address.into() }
    }
}
