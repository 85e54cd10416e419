//! Every protocol over every transport with every option, judged by real programs of several ages: whatever is written is
//! accepted, and the table of what is left out is the one in docs/clients.md.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use sarban::domain::host::{
    Alpn, Fingerprint, HostSpec, MuxCoolSettings, MuxSettings, SplitHttpSettings, XMuxSettings,
};
use sarban::domain::ids::HostId;
use sarban::subscription::Format;
use sarban::subscription::catalogue::HostRow;
use sarban::subscription::formats::{CLASH, CLASH_META, LINKS, SING_BOX, XRAY};
use serde_json::{Value, json};

use crate::subscription::core_settings::{self, encryption};
use crate::subscription::literal::{rendered_for, row, spec};
use crate::subscription::referees::{self, MIHOMO, SING_BOXES, XRAYS, Xray};

const LAYERED: [&str; 3] = ["vmess", "vless", "trojan"];
const OVER_UDP: [&str; 3] = ["hysteria2", "tuic", "wireguard"];
const NETWORKS: [&str; 9] = ["", "tcp", "kcp", "ws", "http", "grpc", "httpupgrade", "splithttp", "quic"];
const SECURITIES: [&str; 3] = ["none", "tls", "reality"];
const WIREGUARD_KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const REALITY_KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";

/// An inbound as nodes report it.
fn inbound(protocol: &'static str, network: &str, security: &str) -> Option<(&'static str, String)> {
    let path = match protocol {
        "wireguard" => WIREGUARD_KEY,
        _ if matches!(network, "quic" | "") => "",
        _ => "/p",
    };
    let config = json!({
        "port": 443, "network": network, "tls": security, "sni": ["s.example"], "path": path,
        "pbk": REALITY_KEY, "sid": "aa", "address": "10.0.0.1/24", "shadowtls_version": 3,
    });
    Some((protocol, config.to_string()))
}

/// One host for each protocol, transport and security, with a name that says which.
fn plain() -> Vec<HostRow> {
    let mut rows = Vec::new();
    let mut add = |protocol, network: &str, security: &str| {
        let named = spec(&format!("{protocol} {} {security}", if network.is_empty() { "-" } else { network }));
        rows.push(row(0, named, inbound(protocol, network, security)));
    };
    for protocol in LAYERED {
        for network in NETWORKS {
            for security in SECURITIES {
                add(protocol, network, security);
            }
        }
    }
    for protocol in OVER_UDP {
        add(protocol, "", if protocol == "wireguard" { "none" } else { "tls" });
    }
    for network in ["", "tcp"] {
        add("shadowsocks", network, "none");
    }
    add("shadowtls", "", "tls");
    add("anytls", "", "tls");
    numbered(rows)
}

/// Changes of a host, each with one option that the API takes or an older panel stored.
fn options() -> Vec<HostSpec> {
    let base = || spec("option");
    let mux = |protocol: &str, concurrency| {
        let settings = MuxCoolSettings { concurrency, ..MuxCoolSettings::default() };
        Some(MuxSettings {
            protocol: protocol.to_owned(),
            sing_box_mux_settings: None,
            mux_cool_settings: Some(settings),
        })
    };
    let xhttp = |mode: &str, xmux: Option<XMuxSettings>| {
        Some(SplitHttpSettings { mode: Some(mode.to_owned()), xmux, ..SplitHttpSettings::default() })
    };
    let both_limits = XMuxSettings {
        max_concurrency: Some("1".to_owned()),
        max_connections: Some("2".to_owned()),
        ..XMuxSettings::default()
    };
    let lifetime = XMuxSettings { max_lifetime: Some("1500".to_owned()), ..XMuxSettings::default() };
    let headers = || Some([("X-A".to_owned(), "b".to_owned()), ("Host".to_owned(), "h2.example".to_owned())].into());
    let mut specs = vec![
        HostSpec { http_headers: headers(), ..base() },
        HostSpec { host: Some("h.example".to_owned()), http_headers: headers(), ..base() },
        HostSpec { host: Some("bücher.example".to_owned()), sni: Some("bücher.example".to_owned()), ..base() },
        HostSpec { allowinsecure: true, ..base() },
        HostSpec { early_data: Some(2_048), ..base() },
        HostSpec { path: Some("/a b/ü?ed=2048&x=%zz".to_owned()), ..base() },
        HostSpec { path: Some("a?b".to_owned()), ..base() },
        HostSpec { address: "192.0.2.9".to_owned(), ..base() },
        HostSpec { address: "[2001:db8::7]".to_owned(), ..base() },
        HostSpec { address: " bücher.example\n".to_owned(), ..base() },
        HostSpec { address: "*.h.example".to_owned(), ..base() },
        HostSpec { mux_settings: mux("mux_cool", Some(8)), ..base() },
        HostSpec { mux_settings: mux("mux_cool", Some(100_000)), ..base() },
        HostSpec { mux_settings: mux("h2mux", None), ..base() },
        HostSpec { mux_settings: mux("foo", None), ..base() },
        HostSpec { splithttp_settings: xhttp("stream-one", Some(lifetime)), ..base() },
        HostSpec { splithttp_settings: xhttp("foo", None), ..base() },
        HostSpec { splithttp_settings: xhttp("auto", Some(both_limits)), ..base() },
        HostSpec { mtu: Some(-1), ..base() },
        HostSpec { mtu: Some(1_280), dns_servers: Some("1.1.1.1".to_owned()), ..base() },
        HostSpec { shadowsocks_method: Some("foo".to_owned()), ..base() },
        HostSpec { shadowsocks_method: Some("aes-256-gcm".to_owned()), ..base() },
        HostSpec { shadowsocks_method: Some("2022-blake3-aes-128-gcm".to_owned()), ..base() },
        HostSpec { remark: "DIRECT".to_owned(), ..base() },
        HostSpec { remark: "REJECT-DROP".to_owned(), ..base() },
        HostSpec { remark: "COMPATIBLE".to_owned(), ..base() },
        HostSpec { remark: "direct".to_owned(), ..base() },
        HostSpec { remark: "🚀 \"a\": {b}\n# c".to_owned(), ..base() },
    ];
    for flow in ["xtls-rprx-vision", "xtls-rprx-vision-udp443", "xtls-rprx-direct", "none", "foo"] {
        specs.push(HostSpec { flow: Some(flow.to_owned()), ..base() });
    }
    for header in ["http", "none", "srtp", "wechat-video", "salamander", "foo"] {
        specs.push(HostSpec { header_type: Some(header.to_owned()), ..base() });
    }
    specs.extend(Alpn::ALL.map(|alpn| HostSpec { alpn, ..base() }));
    specs.extend([Fingerprint::Chrome, Fingerprint::Randomized].map(|fingerprint| HostSpec { fingerprint, ..base() }));
    specs
}

/// Inbounds with values that a node may report and no client takes.
fn reported() -> Vec<HostRow> {
    let of = |protocol: &'static str, changes: Value| {
        let (_, text) = inbound(protocol, "tcp", "reality").unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        row(0, spec("reported"), Some((protocol, config.to_string())))
    };
    vec![
        of("vless", json!({"pbk": null})),
        of("vless", json!({"pbk": "foo"})),
        of("vless", json!({"sid": "xyz"})),
        of("vless", json!({"sid": "aaa"})),
        of("vless", json!({"fp": "foo"})),
        of("vless", json!({"flow": "foo"})),
        of("vless", json!({"network": null})),
        of("vless", json!({"network": "raw"})),
        of("trojan", json!({"network": "xhttp"})),
        of("vmess", json!({"tls": "none", "network": "mkcp", "header_type": "foo"})),
        of("vmess", json!({"tls": "tls", "network": "websocket"})),
        of("vless", json!({"port": "443,8443"})),
        of("vless", json!({"port": "env:PORT"})),
        of("wireguard", json!({"path": "foo", "tls": "none"})),
        of("wireguard", json!({"path": WIREGUARD_KEY, "tls": "none", "address": "nonsense"})),
        of("vless", json!({"encryption": encryption(), "mldsa65Verify": "foo"})),
        of("vless", json!({"encryption": encryption(), "spiderX": "/"})),
        of("vless", json!({"tls": "tls", "ech": core_settings::ECH, "finalmask": {"foo": 1}})),
        of(
            "hysteria2",
            json!({"tls": "tls", "mport": "1000-2000", "obfs": {"type": "salamander", "password": "abcd"}}),
        ),
        of("hysteria2", json!({"tls": "tls", "mport": "x"})),
        of("anytls", json!({"tls": "tls", "network": null})),
        of("anytls", json!({"tls": "reality"})),
        of("hysteria2", json!({"tls": "none"})),
        of("hysteria2", json!({"tls": "tls", "header_type": "foo", "path": "x"})),
    ]
}

fn numbered(mut rows: Vec<HostRow>) -> Vec<HostRow> {
    for (id, row) in rows.iter_mut().enumerate() {
        row.host.id = HostId(id as i64);
    }
    rows
}

/// All of it: the plain hosts, each option over each kind of connection, and what nodes report.
fn everything() -> Vec<HostRow> {
    let mut rows = plain();
    rows.extend(reported());
    for option in options().into_iter().chain(core_settings::options()) {
        for (protocol, network, security) in [
            ("vless", "tcp", "reality"),
            ("vless", "", "tls"),
            ("vless", "splithttp", "tls"),
            ("vmess", "ws", "tls"),
            ("vmess", "kcp", "none"),
            ("vmess", "http", "tls"),
            ("vmess", "http", "none"),
            ("trojan", "httpupgrade", "tls"),
            ("trojan", "grpc", "tls"),
            ("trojan", "tcp", "tls"),
            ("shadowsocks", "", "none"),
            ("hysteria2", "", "tls"),
            ("tuic", "", "tls"),
            ("wireguard", "", "none"),
            ("anytls", "", "tls"),
            ("vless", "tcp", "none"),
        ] {
            rows.push(row(0, option.clone(), inbound(protocol, network, security)));
        }
    }
    numbered(rows)
}

/// The outbounds of all configurations, with unique tags.
fn xray_outbounds(text: &str) -> Vec<Value> {
    let configurations: Vec<Value> = serde_json::from_str(text).unwrap();
    let with_number = |(at, configuration): (usize, Value)| {
        let mut outbounds: Vec<Value> = serde_json::from_value(configuration["outbounds"].clone()).unwrap();
        for outbound in &mut outbounds {
            outbound["tag"] = format!("{at} {}", outbound["tag"].as_str().unwrap()).into();
        }
        outbounds
    };
    configurations.into_iter().enumerate().flat_map(with_number).collect()
}

#[test]
fn everything_written_for_xray_is_accepted_by_its_version() {
    for (version, package) in XRAYS {
        let rendered = rendered_for(&XRAY, everything(), &format!("Xray/{version}"));
        let refused = Xray::new(package).refused(&xray_outbounds(&rendered.body));
        assert!(refused.is_empty(), "Xray {version}: {refused:#?}");
    }
}

#[test]
fn everything_written_for_sing_box_is_accepted_by_its_version() {
    for version in SING_BOXES {
        let rendered = rendered_for(&SING_BOX, everything(), &format!("sing-box {version}"));
        let document = referees::checkable(serde_json::from_str(&rendered.body).unwrap());
        if let Err(error) = referees::sing_box_runs(version, &document) {
            panic!("sing-box {version}: {error}");
        }
    }
}

#[test]
fn everything_written_for_mihomo_is_accepted() {
    for format in [&CLASH, &CLASH_META] {
        let rendered = rendered_for(format, everything(), &format!("mihomo/{MIHOMO}"));
        if let Err(error) = referees::mihomo(&rendered.body) {
            panic!("{}: {error}", format.client_type);
        }
    }
    assert!(referees::mihomo("proxies:\n- {name: DIRECT, type: http, server: a, port: 1}\n").is_err());
}

/// The columns of the table: a name, a format and a User-Agent.
const COLUMNS: [(&str, &Format, &str); 7] = [
    ("links", &LINKS, ""),
    ("Xray 26.7", &XRAY, "Xray/26.7.28"),
    ("Xray 26.10", &XRAY, "Xray/26.10.10"),
    ("sing-box 1.12", &SING_BOX, "sing-box 1.12.10"),
    ("sing-box 1.14", &SING_BOX, "sing-box 1.14.4"),
    ("Clash", &CLASH, ""),
    ("Mihomo", &CLASH_META, "mihomo/1.19.32"),
];

/// The table in Markdown: a row for each plain host, with numbers for the reasons below it.
fn table() -> String {
    let rows = plain();
    let reasons: BTreeSet<&str> = COLUMNS
        .iter()
        .flat_map(|(_, format, agent)| rendered_for(format, rows.clone(), agent).left_out)
        .map(|left| left.reason)
        .collect();
    let number = |reason: &str| reasons.iter().position(|known| *known == reason).unwrap() + 1;
    let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    let mut text = format!("| protocol | transport | security | {} |\n", names.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(3 + COLUMNS.len()));
    let left_out: Vec<_> =
        COLUMNS.iter().map(|(_, format, agent)| rendered_for(format, rows.clone(), agent).left_out).collect();
    for row in &rows {
        let _ = write!(text, "| {} |", row.host.spec.remark.replace(' ', " | "));
        for left_out in &left_out {
            match left_out.iter().find(|left| left.host == row.host.id) {
                Some(left) => write!(text, " ({}) |", number(left.reason)).unwrap(),
                None => text.push_str(" yes |"),
            }
        }
        text.push('\n');
    }
    text.push_str("\nLeft out because:\n\n");
    for (at, reason) in reasons.iter().enumerate() {
        let _ = writeln!(text, "{}. {reason}", at + 1);
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "only this test reads the variable")]
fn table_in_the_documentation_is_the_one_that_is_rendered() {
    const START: &str = "<!-- table -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
    let page = std::fs::read_to_string(&path).expect("docs/clients.md");
    let (before, committed) = page.split_once(START).expect("the start of the table");
    let current = format!("\n{}", table());
    if std::env::var_os("SARBAN_WRITE_CLIENTS").is_some() {
        std::fs::write(&path, format!("{before}{START}{current}")).expect("docs/clients.md");
    } else {
        assert_eq!(committed, current, "write it again with `make clients`");
    }
}
