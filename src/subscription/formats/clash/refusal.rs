//! Entries that Clash and Mihomo refuse: one of them makes a program reject the whole file. And entries that they accept
//! and can't use.

use uuid::Uuid;

use crate::domain::host::Ech;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::subscription::client::Version;
use crate::subscription::entry::Entry;
use crate::subscription::formats::{shadowsocks, wireguard};
use crate::subscription::refusal::Versions::{Any, Before};
use crate::subscription::refusal::{Refusal, holding};

use super::options::is_http;
use super::proxy::Dialect;
use super::xhttp_extra;

/// VLESS encryption is known.
const ENCRYPTS: Version = Version(1, 19, 13);
/// ECH is known.
const ECH: Version = Version(1, 19, 9);
/// ECH is looked up under another name.
const ECH_NAMES: Version = Version(1, 19, 20);
/// AnyTLS is known.
const ANYTLS: Version = Version(1, 19, 3);

/// True when the program has this protocol over this transport.
pub fn supports(dialect: Dialect, protocol: Protocol, network: Network) -> bool {
    use Network::{Grpc, H2, Http, HttpUpgrade, Kcp, SplitHttp, Tcp, Unset, Ws};
    let meta = dialect == Dialect::Meta;
    match protocol {
        Protocol::Vmess => {
            matches!(network, Unset | Tcp | Ws | Grpc | Http | H2) || meta && matches!(network, HttpUpgrade | Kcp)
        }
        Protocol::Vless => meta && matches!(network, Unset | Tcp | Ws | Grpc | Http | H2 | HttpUpgrade | SplitHttp),
        Protocol::Trojan => matches!(network, Unset | Tcp | Ws | Grpc) || meta && network == HttpUpgrade,
        Protocol::Shadowsocks => matches!(network, Unset | Tcp),
        Protocol::Hysteria2 | Protocol::Tuic | Protocol::Wireguard | Protocol::Anytls => meta,
        Protocol::Shadowtls => false,
    }
}

/// Why the program refuses the entry.
pub fn refusals(dialect: Dialect, entry: &Entry<'_>) -> Vec<Refusal> {
    let (core, meta) = (entry.core, dialect == Dialect::Meta);
    let (vmess, trojan) = (entry.protocol == Protocol::Vmess, entry.protocol == Protocol::Trojan);
    let (anytls, kcp) = (entry.protocol == Protocol::Anytls, entry.network == Network::Kcp);
    let (clear, reality) = (entry.security == Security::None, entry.security == Security::Reality);
    let knows_cipher = match dialect {
        Dialect::Clash => shadowsocks::is_known_to_clash(entry.method),
        Dialect::Meta => shadowsocks::is_valid(entry.method, entry.password),
    };
    let unknown_extra = core.xhttp_extra.as_ref().and_then(|extra| xhttp_extra::options(extra).err());
    holding([
        (unknown_extra.is_some(), Any, unknown_extra.unwrap_or_default()),
        (!meta && reality, Any, "Clash does not support REALITY"),
        (!meta && core.is_pinned(), Any, "Clash pins no certificate"),
        (!meta && core.ech_config_list.is_some(), Any, "Clash has no ECH"),
        (core.finalmask.is_some(), Any, "Clash has no finalmask"),
        (core.ech_config_list.is_some(), Before(ECH), "this version of Mihomo has no ECH"),
        (
            matches!(core.ech(), Some(Ech::Lookup(Some(_)))),
            Before(ECH_NAMES),
            "this version of Mihomo looks up ECH only under the server name",
        ),
        (shadowsocks::is_layered(entry), Any, "Clash has no transport for Shadowsocks"),
        (core.encryption.is_some(), Before(ENCRYPTS), "this version of Mihomo has no VLESS encryption"),
        (anytls, Before(ANYTLS), "this version of Mihomo has no AnyTLS"),
        (anytls && reality, Any, "Mihomo has no REALITY for its protocol"),
        (
            entry.protocol == Protocol::Shadowsocks && !knows_cipher,
            Any,
            "Clash does not know its cipher, or the cipher needs a key of another size",
        ),
        (trojan && clear, Any, "Clash supports Trojan only with TLS"),
        (trojan && is_http(entry), Any, "Clash has no HTTP header for Trojan"),
        (
            clear && matches!(entry.network, Network::H2 | Network::Grpc),
            Any,
            "Clash supports this transport only with TLS",
        ),
        (kcp && !matches!(entry.header_type, None | Some("none")), Any, "Clash does not know its header type"),
        (kcp && !clear, Any, "Clash supports this transport only without TLS"),
        (vmess && Uuid::try_parse(entry.uuid).is_err(), Any, "its id is not a UUID"),
        (
            entry.protocol == Protocol::Hysteria2
                && entry.header_type.is_some_and(|kind| kind != "salamander" || entry.path.is_none()),
            Any,
            "Clash does not know its obfuscation",
        ),
        (
            entry.protocol == Protocol::Wireguard
                && !(wireguard::has_valid_peer(entry) && entry.spec.mtu.is_none_or(|mtu| (0..=65_535).contains(&mtu))),
            Any,
            "its WireGuard key, address or MTU is missing or invalid",
        ),
    ])
}
