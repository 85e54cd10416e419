//! The fields of Clash's proxies that differ between protocols.

use serde::Serialize;

use crate::domain::inbound::Protocol;
use crate::subscription::entry::Entry;
use crate::subscription::transport_rules::{plain_flow, vmess_cipher};

/// The fields of one protocol.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "kebab-case")]
pub enum Credential<'a> {
    Vmess {
        uuid: &'a str,
        #[serde(rename = "alterId")]
        alter_id: i64,
        cipher: &'static str,
    },
    Vless {
        uuid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        flow: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encryption: Option<&'a str>,
    },
    Shadowsocks {
        cipher: &'a str,
        password: &'a str,
    },
    /// Trojan and AnyTLS.
    Trojan {
        password: &'a str,
    },
    Hysteria2 {
        password: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        obfs: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        obfs_password: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ports: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        hop_interval: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        up: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        down: Option<String>,
    },
    Tuic {
        uuid: &'a str,
        password: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        congestion_controller: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_relay_mode: Option<&'a str>,
    },
    Wireguard {
        private_key: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        public_key: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ip: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ipv6: Option<&'a str>,
        allowed_ips: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        mtu: Option<i64>,
        persistent_keepalive: i64,
    },
}

impl<'a> Credential<'a> {
    /// The fields of an entry's protocol.
    pub fn new(entry: &'a Entry<'_>) -> Self {
        let (uuid, password) = (entry.uuid, entry.password);
        match entry.protocol {
            Protocol::Vmess => Self::Vmess { uuid, alter_id: 0, cipher: vmess_cipher(entry.security) },
            Protocol::Vless => {
                Self::Vless { uuid, flow: plain_flow(entry.flow), encryption: entry.core.encryption.as_deref() }
            }
            Protocol::Shadowsocks => Self::Shadowsocks { cipher: entry.method, password },
            Protocol::Hysteria2 => Self::Hysteria2 {
                password,
                obfs: entry.header_type,
                obfs_password: obfs_password(entry),
                ports: entry.core.ports.as_deref(),
                hop_interval: entry.core.hop_interval,
                up: entry.core.up_mbps.map(|rate| format!("{rate} Mbps")),
                down: entry.core.down_mbps.map(|rate| format!("{rate} Mbps")),
            },
            Protocol::Tuic => Self::Tuic {
                uuid,
                password,
                congestion_controller: entry.core.congestion_control.as_deref(),
                udp_relay_mode: entry.core.udp_relay_mode.as_deref(),
            },
            Protocol::Wireguard => {
                let address = entry.client_address.as_deref();
                let is_ipv6 = |address: &&str| address.contains(':');
                Self::Wireguard {
                    private_key: entry.wireguard_key,
                    public_key: entry.path.as_deref(),
                    ip: address.filter(|address| !is_ipv6(address)),
                    ipv6: address.filter(is_ipv6),
                    allowed_ips: entry.allowed_ips,
                    mtu: entry.spec.mtu,
                    persistent_keepalive: 25,
                }
            }
            // `supports` excludes ShadowTLS.
            Protocol::Trojan | Protocol::Anytls | Protocol::Shadowtls => Self::Trojan { password },
        }
    }
}

/// The password of the obfuscation, which stands in the place of the path.
fn obfs_password<'a>(entry: &'a Entry<'_>) -> Option<&'a str> {
    entry.path.as_deref().filter(|_| entry.header_type.is_some())
}
