//! Entries that Xray refuses. Each entry is a configuration of its own: one that is refused is dead and others stay.

use uuid::Uuid;

use crate::domain::address;
use crate::domain::host::{
    FragmentSettings, HostSpec, Noise, NoiseKind, is_base64, is_fragment_length, is_fragment_packets, is_range,
    mask_versions,
};
use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::client::Version;
use crate::subscription::entry::Entry;
use crate::subscription::formats::{shadowsocks, wireguard};
use crate::subscription::refusal::Versions::{Any, Before, From, NotFrom};
use crate::subscription::refusal::{Reason, Refusal, holding};

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

const UNKNOWN_MASK: Reason = "this version of Xray does not know one of its disguises (finalmask)";

/// The bytes of a text that Xray takes for an id, at most.
const LONGEST_ID: usize = 30;
/// The largest number of streams in a connection.
const MAX_STREAMS: i64 = 1_024;

/// Why Xray refuses the entry.
pub fn refusals(entry: &Entry<'_>) -> Vec<Refusal> {
    let (core, spec) = (entry.core, entry.spec);
    let encrypted = entry.security != Security::None || core.encryption.is_some();
    let in_the_clear = matches!(entry.protocol, Protocol::Vless | Protocol::Trojan) && !encrypted;
    // REALITY has no certificate to verify.
    let unverified = entry.security == Security::Tls && spec.allowinsecure && !core.is_pinned();
    let (masks_since, masks_until) = core.finalmask.as_ref().map(mask_versions).unwrap_or_default();
    let version = |(year, month, day)| Version(year, month, day);
    holding([
        (entry.protocol == Protocol::Hysteria2, NotFrom(MASKS), "only new versions of Xray know its protocol"),
        (entry.network == Network::Quic, From(WITHOUT_QUIC), "this version of Xray has no QUIC transport"),
        (entry.network == Network::Http, From(WITHOUT_HTTP), "this version of Xray has no HTTP/2 transport"),
        (unverified, From(VERIFIES), "this version of Xray always verifies the certificate"),
        (core.encryption.is_some(), Before(ENCRYPTS), "this version of Xray has no VLESS encryption"),
        (core.finalmask.is_some(), Before(MASKS), "this version of Xray has no finalmask"),
        (core.is_pinned(), Before(PINS), "this version of Xray does not pin the certificate"),
        (core.ech_config_list.is_some(), Before(ECH), "this version of Xray has no ECH"),
        (
            in_the_clear && !address::is_private(&entry.address),
            From(REFUSES_CLEAR_TEXT),
            "this version of Xray refuses this protocol without TLS",
        ),
        (
            entry.protocol == Protocol::Shadowsocks && !shadowsocks::is_known_to_xray(entry.method, entry.password),
            Any,
            "Xray does not know its cipher, or the cipher needs a key of another size",
        ),
        (
            entry.protocol == Protocol::Wireguard
                && !(wireguard::has_valid_peer(entry) && spec.mtu.is_none_or(|mtu| (0..=65_535).contains(&mtu))),
            Any,
            "its WireGuard key, address or MTU is missing or invalid",
        ),
        (masks_since.is_some(), masks_since.map_or(Any, |since| Before(version(since))), UNKNOWN_MASK),
        (masks_until.is_some(), masks_until.map_or(Any, |until| From(version(until))), UNKNOWN_MASK),
        (
            matches!(entry.protocol, Protocol::Vmess | Protocol::Vless) && !is_id(entry.uuid),
            Any,
            "its id is neither a UUID nor a text of at most 30 bytes",
        ),
        (!has_valid_mux(spec), Any, "its multiplexing settings are not valid"),
        (!spec.fragment.as_ref().is_none_or(is_valid_fragment), Any, "its fragment settings are not valid"),
        (!spec.noise.iter().flatten().all(is_valid_noise), Any, "its noise settings are not valid"),
    ])
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
