//! A host: how subscriptions show one inbound, or a server that is not a node.

mod check;
pub mod ciphers;
mod conversion;
mod core;
mod problem;
pub mod template;
mod text;
mod tuning;
pub mod variables;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{HostId, InboundId, ServiceId};

pub use core::{CoreSettings, Ech, NO_CORE_SETTINGS, is_reality_key, mask_versions, needs_packet_up};
pub use problem::Problem;
pub use text::{Alpn, Fingerprint, HostSecurity, NoiseKind};
pub use tuning::{
    FragmentSettings, MuxCoolSettings, MuxSettings, Noise, SingBoxMuxSettings, SplitHttpSettings, XMuxSettings,
    is_base64, is_fragment_length, is_fragment_packets, is_header, is_range,
};

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The row.
    pub id: HostId,
    /// The inbound that it shows; `None`: an unbound host, which has all settings itself.
    pub inbound_id: Option<InboundId>,
    /// Left out of subscriptions.
    pub is_disabled: bool,
    /// Shown to all users; only unbound hosts.
    pub universal: bool,
    /// The position in subscriptions: smaller weights come first.
    pub weight: i64,
    /// All other settings.
    pub spec: HostSpec,
    /// The services of an unbound host, by id.
    pub service_ids: Vec<ServiceId>,
    /// The hosts that traffic goes through after this one, in order.
    pub chain_ids: Vec<HostId>,
}

/// The settings of a host that no query filters by: one document in the database and most of the API's object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSpec {
    /// The entry's name, a template.
    pub remark: String,
    /// The server's name or address, a template.
    pub address: String,
    /// For unbound hosts: the credential of protocols with UUIDs.
    #[serde(default)]
    pub uuid: Option<String>,
    /// For unbound hosts: the credential of protocols with passwords.
    #[serde(default)]
    pub password: Option<String>,
    /// For unbound hosts: any text, but only known protocols are rendered.
    #[serde(default)]
    pub protocol: Option<String>,
    /// For unbound hosts: the transport.
    #[serde(default)]
    pub network: Option<String>,
    /// Replaces the inbound's port.
    #[serde(default)]
    pub port: Option<i64>,
    /// Server names, separated by commas: one is picked at random, and `*` becomes random digits.
    #[serde(default)]
    pub sni: Option<String>,
    /// Host headers, in the form of `sni`.
    #[serde(default)]
    pub host: Option<String>,
    /// The path, service name or seed of the transport, a template.
    #[serde(default)]
    pub path: Option<String>,
    /// Replaces the inbound's TLS.
    #[serde(default)]
    pub security: HostSecurity,
    /// The protocols offered in the TLS handshake.
    #[serde(default)]
    pub alpn: Alpn,
    /// The browser whose TLS handshake is imitated.
    #[serde(default)]
    pub fingerprint: Fingerprint,
    /// Clients do not verify the certificate.
    #[serde(default)]
    pub allowinsecure: bool,
    /// Splits the first packets (Xray).
    #[serde(default)]
    pub fragment: Option<FragmentSettings>,
    /// Sends noise first (Xray).
    #[serde(default)]
    pub noise: Option<Vec<Noise>>,
    /// Additional request headers.
    #[serde(default)]
    pub http_headers: Option<BTreeMap<String, String>>,
    /// The MTU of WireGuard.
    #[serde(default)]
    pub mtu: Option<i64>,
    /// The name servers of WireGuard, separated by commas.
    #[serde(default)]
    pub dns_servers: Option<String>,
    /// The networks that WireGuard routes, separated by commas; all networks by default.
    #[serde(default)]
    pub allowed_ips: Option<String>,
    /// Replaces the inbound's value.
    #[serde(default)]
    pub header_type: Option<String>,
    /// Stored for the API, never rendered.
    #[serde(default)]
    pub reality_public_key: Option<String>,
    /// Stored for the API, never rendered.
    #[serde(default)]
    pub reality_short_ids: Option<Vec<String>>,
    /// Replaces the inbound's value.
    #[serde(default)]
    pub flow: Option<String>,
    /// Replaces the inbound's value.
    #[serde(default)]
    pub shadowtls_version: Option<i64>,
    /// The Shadowsocks cipher.
    #[serde(default)]
    pub shadowsocks_method: Option<String>,
    /// Settings of splithttp (XHTTP).
    #[serde(default)]
    pub splithttp_settings: Option<SplitHttpSettings>,
    /// Bytes sent with the first request of a WebSocket.
    #[serde(default)]
    pub early_data: Option<i64>,
    /// Multiplexing of streams in one connection.
    #[serde(default)]
    pub mux_settings: Option<MuxSettings>,
    /// Settings of current cores.
    #[serde(default)]
    pub core_settings: Option<CoreSettings>,
}

impl HostSpec {
    /// Bytes of the texts that subscriptions show unchanged.
    pub fn size(&self) -> usize {
        let texts = [
            &self.uuid,
            &self.password,
            &self.dns_servers,
            &self.allowed_ips,
            &self.header_type,
            &self.flow,
            &self.shadowsocks_method,
        ];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let noise: usize = self.noise.iter().flatten().map(|noise| noise.packet.len() + noise.delay.len()).sum();
        let headers = self.http_headers.iter().flatten();
        let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        let padding = self.splithttp_settings.as_ref().and_then(|settings| settings.padding_bytes.as_ref());
        let core = self.core_settings.as_ref().map_or(0, CoreSettings::size);
        texts + noise + headers + padding.map_or(0, String::len) + core
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_needs_only_name_and_address() {
        let spec: HostSpec = serde_json::from_str(r#"{"remark": "a", "address": "b"}"#).unwrap();
        assert_eq!(spec, HostSpec { remark: "a".into(), address: "b".into(), ..HostSpec::default() });
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<HostSpec>(&text).unwrap(), spec);
        assert!(serde_json::from_str::<HostSpec>(r#"{"remark": "a"}"#).is_err());
    }
}
