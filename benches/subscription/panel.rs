//! Users and hosts of the benchmark: a user, and a typical mixture of hosts.

use sarban::domain::host::{Host, HostSpec};
use sarban::domain::ids::{HostId, InboundId, NodeId, ServiceId, UserId};
use sarban::domain::inbound::Inbound;
use sarban::domain::moment::{DAY, Moment, SECOND};
use sarban::domain::user::{Expiry, User};
use sarban::subscription::catalogue::HostRow;

/// The time of every request.
pub const NOW: Moment = Moment::from_micros(1_795_466_185 * SECOND);

/// The user of the subscription.
pub fn user() -> User {
    User {
        expiry: Expiry::FixedDate(NOW.plus(20 * DAY)),
        data_limit: Some(50 << 30),
        used_traffic: 7 << 30,
        lifetime_used_traffic: 7 << 30,
        service_ids: vec![ServiceId(1)],
        ..User::bare(UserId(7), "ann", "0123456789abcdef0123456789abcdef", NOW)
    }
}

/// The number of names of a host. A response has no entity tag if its names are chosen at random.
#[derive(Clone, Copy)]
pub enum Names {
    Several,
    One,
}

/// Returns a typical mixture: three protocols over four transports, and every fifth host Shadowsocks or WireGuard.
pub fn hosts(count: i64, names: Names) -> Vec<HostRow> {
    let (sni, host_header) = match names {
        Names::Several => (r#""a.example", "b.example""#, "*.cdn.example"),
        Names::One => (r#""a.example""#, "a.cdn.example"),
    };
    let row = |id: i64| {
        let (protocol, network) = match id % 10 {
            8 => ("shadowsocks", ""),
            9 => ("wireguard", ""),
            other => (
                ["vless", "vmess", "trojan"][other as usize % 3],
                ["tcp", "ws", "grpc", "httpupgrade"][other as usize % 4],
            ),
        };
        let path = if protocol == "wireguard" { "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=" } else { "/path" };
        let config = format!(
            r#"{{"port": 443, "network": "{network}", "tls": "{}", "sni": [{sni}], "fp": "chrome",
                "host": ["{host_header}"], "path": "{path}", "address": "10.0.0.1/16",
                "pbk": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA", "sid": "aa11"}}"#,
            if network == "tcp" { "reality" } else { "tls" },
        );
        let spec = HostSpec {
            remark: format!("🇩🇪 {id} {{USERNAME}} [{{PROTOCOL}} - {{TRANSPORT}}] {{DAYS_LEFT}}d {{DATA_LEFT}}"),
            address: format!("node{id}.example.com"),
            ..HostSpec::default()
        };
        HostRow {
            host: Host {
                id: HostId(id),
                inbound_id: Some(InboundId(id)),
                is_disabled: false,
                universal: false,
                weight: id % 7,
                spec,
                service_ids: Vec::new(),
                chain_ids: Vec::new(),
            },
            inbound: Some(Inbound {
                id: InboundId(id),
                node_id: NodeId(1),
                tag: format!("in{id}"),
                protocol: protocol.to_owned(),
                config,
            }),
            service_ids: vec![ServiceId(1)],
        }
    };
    (1..=count).map(row).collect()
}
