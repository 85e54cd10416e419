//! Entries that Xray refuses. Each entry is a configuration of its own: one that is refused is dead and others stay.

use ipnet::IpNet;
use uuid::Uuid;

use crate::domain::address;
use crate::domain::host::{
    FragmentSettings, HostSpec, Noise, NoiseKind, is_base64, is_fragment_length, is_fragment_packets, is_range,
    mask_versions,
};
use crate::domain::inbound::{Network, Protocol, Security};
use crate::domain::programs::Core;
use crate::subscription::client::{Age, Client, Version};
use crate::subscription::entry::Entry;
use crate::subscription::format::Reason;
use crate::subscription::formats::shadowsocks::{self, is_key};

/// QUIC was removed.
const WITHOUT_QUIC: Version = Version(24, 9, 30);
/// HTTP/2 without XHTTP was removed.
const WITHOUT_HTTP: Version = Version(24, 12, 15);
/// Certificates are verified, or pinned. Tried on 26.7.28.
const VERIFIES: Version = Version(26, 7, 28);
/// VLESS and Trojan are refused in the clear. Tried on 26.9.9.
const REFUSES_CLEAR_TEXT: Version = Version(26, 9, 9);
/// Hysteria 2 and `finalmask` are known. Tried on 26.7.28.
pub const MASKS: Version = Version(26, 7, 28);

/// VLESS encryption is known.
const ENCRYPTS: Version = Version(25, 9, 5);
/// ECH is known.
const ECH: Version = Version(25, 7, 26);
/// The SHA-256 of a certificate in hex is known. Tried on 26.7.28.
const PINS: Version = Version(26, 2, 6);

/// The bytes of a text that Xray takes for an id, at most.
const LONGEST_ID: usize = 30;
/// The largest number of streams in a connection.
const MAX_STREAMS: i64 = 1_024;

/// The first reason to refuse the entry. Whatever depends on the version counts only if the client tells its version.
pub fn refusal(entry: &Entry<'_>, client: &Client<'_>) -> Option<Reason> {
    let age = client.age(Core::Xray);
    let secured = entry.security != Security::None;
    let core = entry.core;
    // REALITY has no certificate to verify.
    let verifies = entry.security == Security::Tls;
    let encrypted = secured || core.encryption.is_some();
    let in_the_clear = matches!(entry.protocol, Protocol::Vless | Protocol::Trojan) && !encrypted;
    let checks = [
        (
            entry.protocol != Protocol::Hysteria2 || age.is_known_from(MASKS),
            "only new versions of Xray know its protocol",
        ),
        (
            entry.network != Network::Quic || !age.is_known_from(WITHOUT_QUIC),
            "this version of Xray has no QUIC transport",
        ),
        (
            entry.network != Network::Http || !age.is_known_from(WITHOUT_HTTP),
            "this version of Xray has no HTTP/2 transport",
        ),
        (
            !(verifies && entry.spec.allowinsecure && !core.is_pinned() && age.is_known_from(VERIFIES)),
            "this version of Xray always verifies the certificate",
        ),
        (core.encryption.is_none() || !age.is_known_before(ENCRYPTS), "this version of Xray has no VLESS encryption"),
        (core.finalmask.is_none() || !age.is_known_before(MASKS), "this version of Xray has no finalmask"),
        (!core.is_pinned() || !age.is_known_before(PINS), "this version of Xray does not pin the certificate"),
        (core.ech_config_list.is_none() || !age.is_known_before(ECH), "this version of Xray has no ECH"),
        (
            !in_the_clear || address::is_private(&entry.address) || !age.is_known_from(REFUSES_CLEAR_TEXT),
            "this version of Xray refuses this protocol without TLS",
        ),
        (
            entry.protocol != Protocol::Shadowsocks || shadowsocks::is_known_to_xray(entry.method, entry.password),
            "Xray does not know its cipher, or the cipher needs a key of another size",
        ),
        (
            entry.protocol != Protocol::Wireguard || has_wireguard_settings(entry),
            "its WireGuard key, address or MTU is missing or invalid",
        ),
        (has_known_masks(entry, age), "this version of Xray does not know one of its disguises (finalmask)"),
        (
            !matches!(entry.protocol, Protocol::Vmess | Protocol::Vless) || is_id(&entry.uuid),
            "its id is neither a UUID nor a text of at most 30 bytes",
        ),
        (has_valid_mux(entry.spec), "its multiplexing settings are not valid"),
        (entry.spec.fragment.as_ref().is_none_or(is_valid_fragment), "its fragment settings are not valid"),
        (entry.spec.noise.iter().flatten().all(is_valid_noise), "its noise settings are not valid"),
    ];
    checks.into_iter().find(|(is_valid, _)| !is_valid).map(|(_, reason)| reason)
}

fn has_wireguard_settings(entry: &Entry<'_>) -> bool {
    is_key(entry.wireguard_key, 32)
        && entry.path.as_deref().is_some_and(|key| is_key(key, 32))
        && entry.client_address.is_some()
        && entry.spec.mtu.is_none_or(|mtu| (0..=65_535).contains(&mtu))
        && entry.allowed_ips().iter().all(|net| net.parse::<IpNet>().is_ok())
}

fn has_known_masks(entry: &Entry<'_>, age: Age) -> bool {
    let (since, until) = entry.core.finalmask.as_ref().map(mask_versions).unwrap_or_default();
    let version = |(year, month, day)| Version(year, month, day);
    !since.is_some_and(|since| age.is_known_before(version(since)))
        && !until.is_some_and(|until| age.is_known_from(version(until)))
}

/// Xray makes a UUID of a short text.
fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) || Uuid::try_parse(text).is_ok()
}

fn has_valid_mux(spec: &HostSpec) -> bool {
    let asked = spec.mux_settings.as_ref().filter(|mux| mux.protocol == "mux_cool");
    asked.and_then(|mux| mux.mux_cool_settings.as_ref()).is_none_or(|mux| {
        mux.concurrency.is_none_or(|streams| (-1..=MAX_STREAMS).contains(&streams))
            && mux.xudp_concurrency.is_none_or(|streams| (-1..=MAX_STREAMS).contains(&streams))
            && mux.xudp_proxy_443.as_deref().is_none_or(|word| matches!(word, "" | "reject" | "allow" | "skip"))
    })
}

fn is_valid_fragment(fragment: &FragmentSettings) -> bool {
    is_fragment_packets(&fragment.packets) && is_fragment_length(&fragment.length) && is_range(&fragment.interval)
}

fn is_valid_noise(noise: &Noise) -> bool {
    let packet = match noise.kind {
        NoiseKind::Rand => is_fragment_length(&noise.packet),
        NoiseKind::Str => true,
        NoiseKind::Base64 => is_base64(&noise.packet),
    };
    packet && is_range(&noise.delay)
}
