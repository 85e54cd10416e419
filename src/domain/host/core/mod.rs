//! Settings of a host that current cores have and Marzneshin does not know.

mod check;
mod finalmask;
mod reported;
mod values;
mod xhttp;

pub use finalmask::mask_versions;
pub use values::is_reality_key;
pub use xhttp::needs_packet_up;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Settings with the names of the cores. A missing one is that of the inbound, if its node reports it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CoreSettings {
    /// The SHA-256 of the server's certificate in hex: clients accept this certificate and no other.
    pub pinned_peer_cert_sha256: Option<String>,
    /// The SHA-256 of the certificate's public key in base64, which sing-box pins in place of the certificate.
    pub certificate_public_key_sha256: Option<String>,
    /// A list of ECH configurations in base64, or the DNS server that clients ask for it, as in
    /// `example.com+https://1.1.1.1/dns-query`.
    pub ech_config_list: Option<String>,
    /// The client's side of VLESS encryption, as in `mlkem768x25519plus.native.0rtt.…`.
    pub encryption: Option<String>,
    /// The ML-DSA-65 key that verifies the certificate of REALITY.
    pub mldsa65_verify: Option<String>,
    /// The path at which REALITY clients begin to crawl.
    pub spider_x: Option<String>,
    /// The ports between which Hysteria 2 hops, as in `1000-2000,3000`.
    pub ports: Option<String>,
    /// Seconds between two hops.
    pub hop_interval: Option<i64>,
    /// The obfuscation of Hysteria 2.
    pub obfs: Option<String>,
    /// The password of the obfuscation.
    pub obfs_password: Option<String>,
    /// The client's upload bandwidth for Hysteria 2, in megabits a second.
    pub up_mbps: Option<i64>,
    /// The client's download bandwidth for Hysteria 2, in megabits a second.
    pub down_mbps: Option<i64>,
    /// The congestion control of TUIC.
    pub congestion_control: Option<String>,
    /// How TUIC carries UDP: `native` or `quic`.
    pub udp_relay_mode: Option<String>,
    /// Settings of XHTTP with Xray's names, such as `downloadSettings`; they win over those of `splithttp_settings`.
    pub xhttp_extra: Option<Map<String, Value>>,
    /// Xray's disguises of packets below the transport.
    pub finalmask: Option<Map<String, Value>>,
}

/// No setting.
pub static NO_CORE_SETTINGS: LazyLock<CoreSettings> = LazyLock::new(CoreSettings::default);

/// A list of ECH configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ech<'a> {
    /// The list in base64.
    List(&'a str),
    /// Clients look the list up; `Some`: under this name in place of the server name.
    Lookup(Option<&'a str>),
}

impl CoreSettings {
    /// These settings, and those of the inbound where these have none. An obfuscation of its own does not get the inbound's
    /// password, but a password of its own belongs to the inbound's obfuscation.
    pub fn or(self, inbound: Self) -> Self {
        let (obfs, obfs_password) = match (self.obfs, self.obfs_password) {
            (None, password) => (inbound.obfs, password.or(inbound.obfs_password)),
            own => own,
        };
        Self {
            pinned_peer_cert_sha256: self.pinned_peer_cert_sha256.or(inbound.pinned_peer_cert_sha256),
            certificate_public_key_sha256: self.certificate_public_key_sha256.or(inbound.certificate_public_key_sha256),
            ech_config_list: self.ech_config_list.or(inbound.ech_config_list),
            encryption: self.encryption.or(inbound.encryption),
            mldsa65_verify: self.mldsa65_verify.or(inbound.mldsa65_verify),
            spider_x: self.spider_x.or(inbound.spider_x),
            ports: self.ports.or(inbound.ports),
            hop_interval: self.hop_interval.or(inbound.hop_interval),
            obfs,
            obfs_password,
            up_mbps: self.up_mbps.or(inbound.up_mbps),
            down_mbps: self.down_mbps.or(inbound.down_mbps),
            congestion_control: self.congestion_control.or(inbound.congestion_control),
            udp_relay_mode: self.udp_relay_mode.or(inbound.udp_relay_mode),
            xhttp_extra: self.xhttp_extra.or(inbound.xhttp_extra),
            finalmask: self.finalmask.or(inbound.finalmask),
        }
    }

    /// The pinned certificate as 64 digits in lower case.
    pub fn pin(&self) -> Option<String> {
        let pin = self.pinned_peer_cert_sha256.as_deref()?;
        Some(pin.chars().filter(|digit| *digit != ':').map(|digit| digit.to_ascii_lowercase()).collect())
    }

    /// True when clients accept one certificate only.
    pub const fn is_pinned(&self) -> bool {
        self.pinned_peer_cert_sha256.is_some()
    }

    /// How clients get the ECH configurations.
    pub fn ech(&self) -> Option<Ech<'_>> {
        let list = self.ech_config_list.as_deref()?;
        Some(match list.split_once("://") {
            None => Ech::List(list),
            Some((start, _)) => Ech::Lookup(start.split_once('+').map(|(name, _)| name)),
        })
    }

    /// The ports as ranges: the first and the last port of each.
    pub fn port_ranges(&self) -> Vec<(u16, u16)> {
        self.ports.as_deref().and_then(values::port_ranges).unwrap_or_default()
    }

    /// Bytes of its texts, about.
    pub fn size(&self) -> usize {
        let texts = [&self.ech_config_list, &self.encryption, &self.mldsa65_verify, &self.spider_x, &self.ports];
        let objects = [&self.xhttp_extra, &self.finalmask];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        texts + objects.into_iter().flatten().map(values::size).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_host_win_and_obfuscation_is_not_mixed() {
        let text = |text: &str| Some(text.to_owned());
        let host = CoreSettings { obfs: text("salamander"), ports: text("1-2"), ..CoreSettings::default() };
        let inbound = CoreSettings {
            obfs: text("salamander"),
            obfs_password: text("of the inbound"),
            ports: text("3"),
            up_mbps: Some(7),
            ..CoreSettings::default()
        };
        let both = host.or(inbound.clone());
        assert_eq!((both.ports, both.up_mbps, both.obfs_password), (text("1-2"), Some(7), None));
        let host = CoreSettings { obfs_password: text("of the host"), ..CoreSettings::default() };
        let both = host.or(inbound);
        assert_eq!((both.obfs, both.obfs_password), (text("salamander"), text("of the host")));
    }

    #[test]
    fn ech_is_a_list_or_a_lookup() {
        let of = |text: &str| CoreSettings { ech_config_list: Some(text.to_owned()), ..CoreSettings::default() };
        assert_eq!(of("AEX+").ech(), Some(Ech::List("AEX+")));
        assert_eq!(of("udp://1.1.1.1").ech(), Some(Ech::Lookup(None)));
        assert_eq!(of("a.example+https://1.1.1.1/dns-query").ech(), Some(Ech::Lookup(Some("a.example"))));
    }
}
