//! What sing-box refuses: one such entry and it loads nothing of the whole configuration, so it must not be there.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;

use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::{Entry, Reason};
use crate::subscription::shadowsocks::{self, is_key};

const FINGERPRINTS: [&str; 10] =
    ["chrome", "firefox", "edge", "safari", "360", "qq", "ios", "android", "random", "randomized"];

/// The first thing that it would refuse.
pub fn refusal(entry: &Entry<'_>) -> Option<Reason> {
    let secured = entry.security != Security::None;
    let checks = [
        (u16::try_from(entry.port).is_ok(), "its port is none"),
        (secured || !needs_tls(entry), "sing-box has its protocol or transport only with TLS"),
        (
            !secured || entry.sni.is_some() || !entry.address.is_empty() || entry.spec.allowinsecure,
            "TLS needs a name or an address to check",
        ),
        (entry.security != Security::Reality || reality(entry), "its REALITY keys are none"),
        (
            !secured || entry.fingerprint.is_none_or(|name| FINGERPRINTS.contains(&name)),
            "sing-box does not know its fingerprint",
        ),
        (path(entry), "its path is no path of a URL"),
        (
            entry.network != Network::Ws || entry.spec.early_data.is_none_or(|bytes| u32::try_from(bytes).is_ok()),
            "its early data is no number of bytes",
        ),
        (protocol(entry), "its protocol's settings are none that sing-box knows"),
    ];
    checks.into_iter().find(|(fine, _)| !fine).map(|(_, reason)| reason)
}

fn needs_tls(entry: &Entry<'_>) -> bool {
    let layered = matches!(entry.protocol, Protocol::Vmess | Protocol::Vless | Protocol::Trojan);
    matches!(entry.protocol, Protocol::Hysteria2 | Protocol::Tuic | Protocol::Shadowtls)
        || layered && entry.network == Network::Quic
}

fn protocol(entry: &Entry<'_>) -> bool {
    match entry.protocol {
        Protocol::Vmess | Protocol::Trojan | Protocol::Tuic => true,
        Protocol::Vless => matches!(entry.flow, None | Some("xtls-rprx-vision")),
        Protocol::Shadowsocks => shadowsocks::is_known(entry.method, entry.password),
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

fn reality(entry: &Entry<'_>) -> bool {
    let public =
        entry.reality_public_key.is_some_and(|key| URL_SAFE_NO_PAD.decode(key).is_ok_and(|key| key.len() == 32));
    let short = entry.reality_short_id.unwrap_or_default();
    public && short.len() <= 16 && short.len().is_multiple_of(2) && short.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Percent signs must have their two digits, and nothing may end the text early.
fn path(entry: &Entry<'_>) -> bool {
    let Some(path) = entry.path.as_deref().filter(|_| {
        matches!(entry.network, Network::Ws | Network::Http | Network::SplitHttp | Network::Tcp | Network::HttpUpgrade)
    }) else {
        return true;
    };
    let escapes = path
        .split('%')
        .skip(1)
        .all(|after| after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    escapes && !path.chars().any(char::is_control)
}
