//! The settings of current cores that matter to a connection.

use serde_json::Map;

use crate::domain::host::CoreSettings;
use crate::domain::inbound::{Network, Protocol, Security};

/// The settings that matter to a connection of this kind, without empty ones.
pub(super) fn relevant(
    settings: CoreSettings,
    protocol: Protocol,
    network: Network,
    security: Security,
) -> CoreSettings {
    // Other security of theirs is ignored by all clients.
    let has_tls = !matches!(protocol, Protocol::Shadowsocks | Protocol::Wireguard);
    let (tls, reality) = (has_tls && security == Security::Tls, has_tls && security == Security::Reality);
    // Xray, which alone has disguises, does not have the others.
    let masked = !matches!(protocol, Protocol::Tuic | Protocol::Anytls | Protocol::Shadowtls);
    let hops = settings.ports.as_deref().is_some_and(|ports| !ports.is_empty());
    let (hysteria, tuic) = (protocol == Protocol::Hysteria2, protocol == Protocol::Tuic);
    let text = |text: Option<String>, matters: bool| text.filter(|text| matters && !text.is_empty());
    let number = |number: Option<i64>, matters: bool| number.filter(|number| matters && *number != 0);
    let object = |object: Option<Map<_, _>>, matters: bool| object.filter(|object| matters && !object.is_empty());
    CoreSettings {
        pinned_peer_cert_sha256: text(settings.pinned_peer_cert_sha256, tls),
        certificate_public_key_sha256: text(settings.certificate_public_key_sha256, tls),
        ech_config_list: text(settings.ech_config_list, tls),
        encryption: text(settings.encryption, protocol == Protocol::Vless).filter(|encryption| encryption != "none"),
        mldsa65_verify: text(settings.mldsa65_verify, reality),
        spider_x: text(settings.spider_x, reality),
        ports: text(settings.ports, hysteria),
        hop_interval: number(settings.hop_interval, hysteria && hops),
        obfs: text(settings.obfs, hysteria),
        obfs_password: text(settings.obfs_password, hysteria),
        up_mbps: number(settings.up_mbps, hysteria),
        down_mbps: number(settings.down_mbps, hysteria),
        congestion_control: text(settings.congestion_control, tuic),
        udp_relay_mode: text(settings.udp_relay_mode, tuic),
        xhttp_extra: object(settings.xhttp_extra, network == Network::SplitHttp),
        finalmask: object(settings.finalmask, masked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_to_the_connection_stays() {
        let all = CoreSettings {
            pinned_peer_cert_sha256: Some("AA:bb".to_owned()),
            encryption: Some("none".to_owned()),
            spider_x: Some("/".to_owned()),
            ports: Some("1000-2000,3000".to_owned()),
            ..CoreSettings::default()
        };
        let tls = relevant(all.clone(), Protocol::Vless, Network::Tcp, Security::Tls);
        assert_eq!((tls.pin().as_deref(), tls.encryption, tls.spider_x), (Some("aabb"), None, None));
        let reality = relevant(all.clone(), Protocol::Vless, Network::Tcp, Security::Reality);
        assert_eq!((reality.spider_x.as_deref(), reality.pinned_peer_cert_sha256), (Some("/"), None));
        let hysteria = relevant(all, Protocol::Hysteria2, Network::Unset, Security::Tls);
        assert_eq!(hysteria.port_ranges(), [(1_000, 2_000), (3_000, 3_000)]);
    }

    #[test]
    fn protocols_without_tls_ignore_its_settings_and_hops_need_ports() {
        let all = CoreSettings {
            pinned_peer_cert_sha256: Some("aa".to_owned()),
            ech_config_list: Some("https://1.1.1.1/dns-query".to_owned()),
            hop_interval: Some(30),
            finalmask: Some(Map::from_iter([("tcp".to_owned(), serde_json::json!([]))])),
            ..CoreSettings::default()
        };
        for protocol in [Protocol::Wireguard, Protocol::Shadowsocks] {
            let left = relevant(all.clone(), protocol, Network::Unset, Security::Tls);
            assert_eq!(
                (left.is_pinned(), left.ech_config_list, left.hop_interval),
                (false, None, None),
                "{protocol:?}"
            );
        }
        let hysteria = relevant(all.clone(), Protocol::Hysteria2, Network::Unset, Security::Tls);
        assert_eq!((hysteria.is_pinned(), hysteria.hop_interval), (true, None));
        let tuic = relevant(all, Protocol::Tuic, Network::Unset, Security::Tls);
        assert_eq!((tuic.is_pinned(), tuic.finalmask), (true, None));
    }
}
