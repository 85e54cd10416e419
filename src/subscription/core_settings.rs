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
    let (tls, reality) = (security == Security::Tls, security == Security::Reality);
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
        hop_interval: number(settings.hop_interval, hysteria),
        obfs: text(settings.obfs, hysteria),
        obfs_password: text(settings.obfs_password, hysteria),
        up_mbps: number(settings.up_mbps, hysteria),
        down_mbps: number(settings.down_mbps, hysteria),
        congestion_control: text(settings.congestion_control, tuic),
        udp_relay_mode: text(settings.udp_relay_mode, tuic),
        xhttp_extra: object(settings.xhttp_extra, network == Network::SplitHttp),
        finalmask: object(settings.finalmask, true),
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
}
