//! Entries that Clash and Mihomo refuse: one of them makes a program reject the whole file. And entries that they accept
//! and can't use.

use ipnet::IpNet;
use uuid::Uuid;

use crate::domain::host::Ech;
use crate::domain::inbound::{Network, Protocol, Security};
use crate::domain::programs::Core;
use crate::subscription::client::{Client, Version};
use crate::subscription::entry::Entry;
use crate::subscription::format::Reason;
use crate::subscription::formats::shadowsocks::{self, is_key};

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

/// The first reason to refuse the entry.
pub fn refusal(dialect: Dialect, entry: &Entry<'_>, client: &Client<'_>) -> Option<Reason> {
    let (age, core) = (client.age(Core::Mihomo), entry.core);
    if let Some(Err(reason)) = core.xhttp_extra.as_ref().map(xhttp_extra::options) {
        return Some(reason);
    }
    let meta = dialect == Dialect::Meta;
    let (vmess, trojan) = (entry.protocol == Protocol::Vmess, entry.protocol == Protocol::Trojan);
    let clear = entry.security == Security::None;
    let knows_cipher = match dialect {
        Dialect::Clash => shadowsocks::is_known_to_clash(entry.method),
        Dialect::Meta => shadowsocks::is_valid(entry.method, entry.password),
    };
    let checks = [
        (meta || entry.security != Security::Reality, "Clash does not support REALITY"),
        (meta || !core.is_pinned(), "Clash pins no certificate"),
        (meta || core.ech_config_list.is_none(), "Clash has no ECH"),
        (core.finalmask.is_none(), "Clash has no finalmask"),
        (core.ech_config_list.is_none() || !age.is_known_before(ECH), "this version of Mihomo has no ECH"),
        (
            !matches!(core.ech(), Some(Ech::Lookup(Some(_)))) || !age.is_known_before(ECH_NAMES),
            "this version of Mihomo looks up ECH only under the server name",
        ),
        (!shadowsocks::is_layered(entry), "Clash has no transport for Shadowsocks"),
        (core.encryption.is_none() || !age.is_known_before(ENCRYPTS), "this version of Mihomo has no VLESS encryption"),
        (entry.protocol != Protocol::Anytls || !age.is_known_before(ANYTLS), "this version of Mihomo has no AnyTLS"),
        (
            entry.protocol != Protocol::Anytls || entry.security != Security::Reality,
            "Mihomo has no REALITY for its protocol",
        ),
        (
            entry.protocol != Protocol::Shadowsocks || knows_cipher,
            "Clash does not know its cipher, or the cipher needs a key of another size",
        ),
        (!trojan || !clear, "Clash supports Trojan only with TLS"),
        (!trojan || !is_http(entry), "Clash has no HTTP header for Trojan"),
        (
            !clear || !matches!(entry.network, Network::H2 | Network::Grpc),
            "Clash supports this transport only with TLS",
        ),
        (
            entry.network != Network::Kcp || matches!(entry.header_type, None | Some("none")),
            "Clash does not know its header type",
        ),
        (entry.network != Network::Kcp || clear, "Clash supports this transport only without TLS"),
        (!vmess || Uuid::try_parse(&entry.uuid).is_ok(), "its id is not a UUID"),
        (
            entry.protocol != Protocol::Hysteria2
                || entry.header_type.is_none_or(|kind| kind == "salamander" && entry.path.is_some()),
            "Clash does not know its obfuscation",
        ),
        (
            entry.protocol != Protocol::Wireguard || has_wireguard_settings(entry),
            "its WireGuard key, address or MTU is missing or invalid",
        ),
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
