//! A host: how one inbound (or one server that no node knows) is shown in subscriptions.

pub mod template;
mod text;
mod tuning;
pub mod variables;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{HostId, InboundId, ServiceId};

pub use text::{Alpn, Fingerprint, HostSecurity, NoiseKind};
pub use tuning::{
    FragmentSettings, MuxCoolSettings, MuxSettings, Noise, SingBoxMuxSettings, SplitHttpSettings, XMuxSettings,
    is_fragment_packets, is_fragment_range, is_range,
};

/// A host as the panel knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// The row.
    pub id: HostId,
    /// The inbound that it shows; `None`: unbound, it brings everything itself.
    pub inbound_id: Option<InboundId>,
    /// Left out of subscriptions.
    pub is_disabled: bool,
    /// Unbound and for everybody.
    pub universal: bool,
    /// Its place in subscriptions: smaller comes first.
    pub weight: i64,
    /// Everything else.
    pub spec: HostSpec,
    /// The services that give an unbound host, by id.
    pub service_ids: Vec<ServiceId>,
    /// The hosts that traffic goes through after this one, in order.
    pub chain_ids: Vec<HostId>,
}

/// The part of a host that nothing filters by: one document in the database and most of the API's object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSpec {
    /// A template: the entry's name.
    pub remark: String,
    /// A template: where clients connect to.
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
    /// Instead of the inbound's.
    #[serde(default)]
    pub port: Option<i64>,
    /// Server names, separated by commas: one is picked at random, `*` becomes random digits.
    #[serde(default)]
    pub sni: Option<String>,
    /// Host headers, in the same way.
    #[serde(default)]
    pub host: Option<String>,
    /// A template: path, service name, seed, … as the transport has it.
    #[serde(default)]
    pub path: Option<String>,
    /// Instead of the inbound's TLS.
    #[serde(default)]
    pub security: HostSecurity,
    /// The protocols offered in the TLS handshake.
    #[serde(default)]
    pub alpn: Alpn,
    /// The browser that the TLS handshake looks like.
    #[serde(default)]
    pub fingerprint: Fingerprint,
    /// Whether clients skip the certificate's check.
    #[serde(default)]
    pub allowinsecure: bool,
    /// Splits the first packets (Xray).
    #[serde(default)]
    pub fragment: Option<FragmentSettings>,
    /// Sends noise first (Xray).
    #[serde(default)]
    pub noise: Option<Vec<Noise>>,
    /// Further request headers.
    #[serde(default)]
    pub http_headers: Option<BTreeMap<String, String>>,
    /// WireGuard's packet size.
    #[serde(default)]
    pub mtu: Option<i64>,
    /// WireGuard's name servers, separated by commas.
    #[serde(default)]
    pub dns_servers: Option<String>,
    /// What WireGuard routes, separated by commas; everything unless set.
    #[serde(default)]
    pub allowed_ips: Option<String>,
    /// Instead of the inbound's.
    #[serde(default)]
    pub header_type: Option<String>,
    /// Kept for the API, never rendered.
    #[serde(default)]
    pub reality_public_key: Option<String>,
    /// Kept for the API, never rendered.
    #[serde(default)]
    pub reality_short_ids: Option<Vec<String>>,
    /// Instead of the inbound's.
    #[serde(default)]
    pub flow: Option<String>,
    /// Instead of the inbound's.
    #[serde(default)]
    pub shadowtls_version: Option<i64>,
    /// Shadowsocks's cipher.
    #[serde(default)]
    pub shadowsocks_method: Option<String>,
    /// What splithttp (XHTTP) is tuned with.
    #[serde(default)]
    pub splithttp_settings: Option<SplitHttpSettings>,
    /// Bytes sent with the first request of a websocket.
    #[serde(default)]
    pub early_data: Option<i64>,
    /// Several streams in one connection.
    #[serde(default)]
    pub mux_settings: Option<MuxSettings>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_needs_only_a_name_and_an_address() {
        let spec: HostSpec = serde_json::from_str(r#"{"remark": "a", "address": "b"}"#).unwrap();
        assert_eq!(spec, HostSpec { remark: "a".into(), address: "b".into(), ..HostSpec::default() });
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<HostSpec>(&text).unwrap(), spec);
        assert!(serde_json::from_str::<HostSpec>(r#"{"remark": "a"}"#).is_err());
    }
}
