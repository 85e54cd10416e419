//! Entries that sing-box refuses: one of them makes it reject the whole configuration.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;

use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::entry::Entry;
use crate::subscription::format::Reason;
use crate::subscription::formats::shadowsocks::{self, is_key};

const FINGERPRINTS: [&str; 10] =
    ["chrome", "firefox", "edge", "safari", "360", "qq", "ios", "android", "random", "randomized"];

/// The first reason to refuse the entry.
pub fn refusal(entry: &Entry<'_>) -> Option<Reason> {
    let secured = entry.security != Security::None;
    let checks = [
        (u16::try_from(entry.port).is_ok(), "invalid port"),
        (secured || !needs_tls(entry), "sing-box supports this protocol or transport only with TLS"),
        (
            !secured || entry.sni.is_some() || !entry.address.is_empty() || entry.spec.allowinsecure,
            "TLS needs a server name or an address to verify",
        ),
        (entry.security != Security::Reality || has_reality_keys(entry), "REALITY keys are missing or malformed"),
        (
            !secured || entry.fingerprint.is_none_or(|name| FINGERPRINTS.contains(&name)),
            "sing-box does not know the TLS fingerprint",
        ),
        (has_valid_path(entry), "the path is not a valid URL path"),
        (
            entry.network != Network::Ws || entry.spec.early_data.is_none_or(|bytes| u32::try_from(bytes).is_ok()),
            "early data is not a valid byte count",
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
        Protocol::Vmess | Protocol::Trojan | Protocol::Tuic => true,
        Protocol::Vless => matches!(entry.flow, None | Some("xtls-rprx-vision")),
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

fn has_reality_keys(entry: &Entry<'_>) -> bool {
    let public =
        entry.reality_public_key.is_some_and(|key| URL_SAFE_NO_PAD.decode(key).is_ok_and(|key| key.len() == 32));
    let short = entry.reality_short_id.unwrap_or_default();
    public && short.len() <= 16 && short.len().is_multiple_of(2) && short.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// True when two hex digits follow each percent sign and no control character ends the text early.
fn has_valid_path(entry: &Entry<'_>) -> bool {
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
