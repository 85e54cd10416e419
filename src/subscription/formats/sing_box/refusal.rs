//! Entries that sing-box refuses: one of them makes it reject the whole configuration.

use crate::domain::host::Ech;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::client::Version;
use crate::subscription::entry::Entry;
use crate::subscription::formats::{shadowsocks, wireguard};
use crate::subscription::refusal::Versions::{Any, Before, Known};
use crate::subscription::refusal::{Refusal, holding};

/// AnyTLS is known.
const ANYTLS: Version = Version(1, 12, 0);
/// Hysteria 2 has port hopping.
const HOPS: Version = Version(1, 11, 0);
/// Public keys are pinned, and ECH is looked up under another name. Tried on 1.12.10 and 1.13.2.
const PINS: Version = Version(1, 13, 0);

/// Why sing-box refuses the entry, or could never use it. Other programs with documents of sing-box skip what they do not
/// understand: for them only those reasons count for which the entry could never connect.
pub fn refusals(entry: &Entry<'_>) -> Vec<Refusal> {
    let core = entry.core;
    let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
    let has_quic_options = entry.header_type.is_some_and(|kind| kind != "none") || entry.path.is_some();
    let secured = entry.security != Security::None;
    holding([
        (
            layered && entry.network == Network::Quic && has_quic_options,
            Any,
            "sing-box has no header and no key for QUIC",
        ),
        (shadowsocks::is_layered(entry), Any, "sing-box has no transport for Shadowsocks"),
        (
            layered
                && entry.network == Network::Grpc
                && entry.path.as_deref().is_some_and(|name| name.rfind('/') > Some(0) && name.starts_with('/')),
            Any,
            "sing-box has no service names of gRPC that are paths",
        ),
        (core.encryption.is_some(), Any, "sing-box has no VLESS encryption"),
        (core.finalmask.is_some(), Any, "sing-box has no finalmask"),
        (
            core.is_pinned() && core.certificate_public_key_sha256.is_none(),
            Any,
            "sing-box pins the public key of a certificate (certificate_public_key_sha256), not the certificate",
        ),
        (entry.protocol == Protocol::Anytls, Before(ANYTLS), "this version of sing-box has no AnyTLS"),
        (core.ports.is_some(), Before(HOPS), "this version of sing-box has no port hopping"),
        (core.certificate_public_key_sha256.is_some(), Before(PINS), "this version of sing-box pins no public key"),
        (
            matches!(core.ech(), Some(Ech::Lookup(Some(_)))),
            Before(PINS),
            "this version of sing-box looks up ECH only under the server name",
        ),
        (!secured && needs_tls(entry), Known, "sing-box supports this protocol or transport only with TLS"),
        (
            secured && entry.sni.is_none() && entry.address.is_empty() && !entry.spec.allowinsecure,
            Known,
            "TLS needs a server name or an address to verify",
        ),
        (!has_valid_settings(entry), Known, "sing-box does not know these protocol settings"),
    ])
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
            wireguard::has_valid_peer(entry) && entry.spec.mtu.is_none_or(|mtu| u32::try_from(mtu).is_ok())
        }
    }
}
