//! Entries that sing-box refuses: one of them makes it reject the whole configuration.

use ipnet::IpNet;

use crate::domain::host::Ech;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::domain::programs::Core;
use crate::subscription::client::{Client, Version};
use crate::subscription::entry::Entry;
use crate::subscription::format::Reason;
use crate::subscription::formats::shadowsocks::{self, is_key};

/// AnyTLS is known.
const ANYTLS: Version = Version(1, 12, 0);
/// Hysteria 2 has port hopping.
const HOPS: Version = Version(1, 11, 0);
/// Public keys are pinned, and ECH is looked up under another name. Tried on 1.12.10 and 1.13.2.
const PINS: Version = Version(1, 13, 0);

/// Why the entry could never connect, although sing-box accepts it.
pub fn useless(entry: &Entry<'_>) -> Option<Reason> {
    let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
    let has_quic_options = entry.header_type.is_some_and(|kind| kind != "none") || entry.path.is_some();
    let quic = layered && entry.network == Network::Quic;
    let core = entry.core;
    let checks = [
        (quic && has_quic_options, "sing-box has no header and no key for QUIC"),
        (shadowsocks::is_layered(entry), "sing-box has no transport for Shadowsocks"),
        (
            layered
                && entry.network == Network::Grpc
                && entry.path.as_deref().is_some_and(|name| name.rfind('/') > Some(0) && name.starts_with('/')),
            "sing-box has no service names of gRPC that are paths",
        ),
        (core.encryption.is_some(), "sing-box has no VLESS encryption"),
        (core.finalmask.is_some(), "sing-box has no finalmask"),
        (
            core.is_pinned() && core.certificate_public_key_sha256.is_none(),
            "sing-box pins the public key of a certificate (certificate_public_key_sha256), not the certificate",
        ),
    ];
    checks.into_iter().find(|(is_useless, _)| *is_useless).map(|(_, reason)| reason)
}

/// The first reason to refuse the entry.
pub fn refusal(entry: &Entry<'_>, client: &Client<'_>) -> Option<Reason> {
    let age = client.age(Core::SingBox);
    let core = entry.core;
    let looks_up_name = matches!(core.ech(), Some(Ech::Lookup(Some(_))));
    let secured = entry.security != Security::None;
    let checks = [
        (entry.protocol != Protocol::Anytls || age.is_from(ANYTLS), "this version of sing-box has no AnyTLS"),
        (core.ports.is_none() || age.is_from(HOPS), "this version of sing-box has no port hopping"),
        (
            core.certificate_public_key_sha256.is_none() || age.is_from(PINS),
            "this version of sing-box pins no public key",
        ),
        (!looks_up_name || age.is_from(PINS), "this version of sing-box looks up ECH only under the server name"),
        (secured || !needs_tls(entry), "sing-box supports this protocol or transport only with TLS"),
        (
            !secured || entry.sni.is_some() || !entry.address.is_empty() || entry.spec.allowinsecure,
            "TLS needs a server name or an address to verify",
        ),
        (has_valid_settings(entry), "sing-box does not know these protocol settings"),
    ];
    useless(entry).or_else(|| checks.into_iter().find(|(is_valid, _)| !is_valid).map(|(_, reason)| reason))
}

fn needs_tls(entry: &Entry<'_>) -> bool {
    let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
    matches!(entry.protocol, Protocol::Hysteria2 | Protocol::Tuic | Protocol::Shadowtls | Protocol::Anytls)
        || layered && entry.network == Network::Quic
}

fn has_valid_settings(entry: &Entry<'_>) -> bool {
    match entry.protocol {
        Protocol::Vmess | Protocol::Vless | Protocol::Trojan | Protocol::Tuic | Protocol::Anytls => true,
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
