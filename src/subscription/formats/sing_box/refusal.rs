//! Entries that sing-box refuses: one of them makes it reject the whole configuration.

use ipnet::IpNet;

use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::Entry;
use crate::subscription::format::Reason;
use crate::subscription::formats::shadowsocks::{self, is_key};

/// Why the entry could never connect, although sing-box accepts it.
pub fn useless(entry: &Entry<'_>) -> Option<Reason> {
    let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
    let has_quic_options = entry.header_type.is_some_and(|kind| kind != "none") || entry.path.is_some();
    let quic = layered && entry.network == Network::Quic;
    (quic && has_quic_options).then_some("sing-box has no header and no key for QUIC")
}

/// The first reason to refuse the entry.
pub fn refusal(entry: &Entry<'_>) -> Option<Reason> {
    let secured = entry.security != Security::None;
    let checks = [
        (useless(entry).is_none(), "sing-box has no header and no key for QUIC"),
        (secured || !needs_tls(entry), "sing-box supports this protocol or transport only with TLS"),
        (
            !secured || entry.sni.is_some() || !entry.address.is_empty() || entry.spec.allowinsecure,
            "TLS needs a server name or an address to verify",
        ),
        (has_valid_settings(entry), "sing-box does not know these protocol settings"),
    ];
    checks.into_iter().find(|(is_valid, _)| !is_valid).map(|(_, reason)| reason)
}

fn needs_tls(entry: &Entry<'_>) -> bool {
    let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
    matches!(entry.protocol, Protocol::Hysteria2 | Protocol::Tuic | Protocol::Shadowtls)
        || layered && entry.network == Network::Quic
}

fn has_valid_settings(entry: &Entry<'_>) -> bool {
    match entry.protocol {
        Protocol::Vmess | Protocol::Vless | Protocol::Trojan | Protocol::Tuic => true,
        Protocol::Shadowsocks => shadowsocks::is_valid(entry.method, entry.password),
        Protocol::Hysteria2 => entry.header_type.is_none_or(|kind| kind == "salamander" && entry.path.is_some()),
        Protocol::Shadowtls => entry.shadowtls_version.is_none_or(|version| (1..=3).contains(&version)),
        Protocol::Wireguard => {
            is_key(entry.wireguard_key, 32)
                && entry.path.as_deref().is_some_and(|key| is_key(key, 32))
                && entry.client_address.is_some()
                && entry.spec.mtu.is_none_or(|mtu| u32::try_from(mtu).is_ok())
                && entry.allowed_ips().iter().all(|net| net.parse::<IpNet>().is_ok())
        }
    }
}
