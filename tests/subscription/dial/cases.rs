//! The connections that are dialled: each with an inbound of a server, the settings that a node reports of it, and the host.

use sarban::domain::host::{
    Alpn, Fingerprint, FragmentSettings, HostSpec, MuxCoolSettings, MuxSettings, Noise, NoiseKind, SplitHttpSettings,
};
use sarban::domain::ids::HostId;
use sarban::subscription::catalogue::HostRow;
use serde_json::{Value, json};

use crate::subscription::core_settings::{ECH, settings};
use crate::subscription::literal::{row, spec};

use super::inbounds::{self, PASSWORD, PATH, REALITY, SERVICE, WIREGUARD, sing_box, xray};
use super::process::HERE;
use super::servers::NAME;

/// The program of an inbound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Xray,
    SingBox,
}

/// One connection.
pub struct Case {
    /// Letters, digits and hyphens.
    pub name: String,
    pub engine: Engine,
    /// The port of the inbound, set when the servers start.
    pub port: u16,
    /// The inbound; those behind it have a tag.
    pub inbounds: Vec<Value>,
    /// Its protocol and settings, as nodes report them; `None`: the host is not bound to an inbound.
    reported: Option<(&'static str, Value)>,
    spec: HostSpec,
    /// The server's log names the user.
    pub names_user: bool,
    /// The host that the connection passes on its way.
    through: Option<&'static str>,
    /// A part of its connections takes another way.
    pub is_relayed: bool,
    /// The values of these words in the host's settings.
    pub words: Vec<(&'static str, String)>,
}

impl Case {
    fn new(
        name: String,
        engine: Engine,
        inbound: Value,
        protocol: &'static str,
        network: &str,
        security: &str,
    ) -> Self {
        let network = if network.is_empty() { Value::Null } else { network.into() };
        let path = match network.as_str().unwrap_or_default() {
            "ws" | "httpupgrade" | "http" | "splithttp" => PATH,
            "grpc" => SERVICE,
            _ => "",
        };
        let reported = json!({
            "network": network, "tls": security, "sni": [NAME], "path": path, "pbk": REALITY.1, "sid": "aa",
        });
        Self {
            spec: HostSpec { address: HERE.to_owned(), ..spec(&name) },
            name,
            engine,
            port: 0,
            inbounds: vec![inbound],
            reported: Some((protocol, reported)),
            names_user: engine == Engine::Xray,
            through: None,
            is_relayed: false,
            words: Vec::new(),
        }
    }

    /// The same with other members in what the node reports.
    pub fn reporting(mut self, more: Value) -> Self {
        let (_, reported) = self.reported.as_mut().unwrap();
        reported.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut HostSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// The host.
    pub fn row(&self, number: usize, cases: &[Self]) -> HostRow {
        let id = |number: usize| i64::try_from(number).unwrap();
        let inbound = self.reported.as_ref().map(|(protocol, reported)| {
            let mut reported = reported.clone();
            reported["port"] = self.port.into();
            (*protocol, reported.to_string())
        });
        let unbound_port = inbound.is_none().then_some(i64::from(self.port));
        let core_settings = self.spec.core_settings.as_ref().map(|settings| {
            let text = serde_json::to_string(settings).unwrap();
            let words = self.words.iter().flat_map(|(word, value)| {
                // Ports are numbers.
                [(format!("\"{word}\""), if *word == "RELAY" { value.clone() } else { format!("\"{value}\"") })]
            });
            serde_json::from_str(&words.fold(text, |text, (word, value)| text.replace(&word, &value))).unwrap()
        });
        let spec = HostSpec { port: unbound_port, core_settings, ..self.spec.clone() };
        let mut row = row(id(number), spec, inbound);
        if let Some(name) = self.through {
            row.host.chain_ids = vec![HostId(id(cases.iter().position(|case| case.name == name).unwrap()))];
        }
        row
    }

    /// True for protocols over UDP that carry packets, too.
    pub fn carries_packets(&self) -> bool {
        matches!(self.reported, Some(("hysteria2" | "tuic", _)))
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for protocol in ["vmess", "vless", "trojan"] {
        for (network, securities) in [
            ("tcp", &["none", "tls", "reality"][..]),
            ("grpc", &["none", "tls", "reality"]),
            ("splithttp", &["none", "tls", "reality"]),
            ("kcp", &["none", "tls"]),
            ("ws", &["none", "tls"]),
            ("httpupgrade", &["none", "tls"]),
        ] {
            cases.extend(securities.iter().map(|security| on_xray("", protocol, network, security)));
        }
        for network in ["", "ws", "grpc", "httpupgrade", "http"] {
            cases.extend(["none", "tls"].map(|security| on_sing_box("", protocol, network, security, json!({}))));
        }
        cases.push(on_sing_box("", protocol, "quic", "tls", json!({})));
    }
    cases.extend(over_udp());
    cases.extend(shadowtls());
    cases.extend(shadowsocks());
    cases.extend(options());
    cases.extend(core_settings());
    cases
}

/// An inbound of Xray with the usual path. `option` is a part of the name.
pub fn on_xray(option: &str, protocol: &'static str, network: &str, security: &str) -> Case {
    let transport = match network {
        "ws" | "httpupgrade" | "splithttp" => json!({"path": PATH}),
        "grpc" => json!({"serviceName": SERVICE}),
        _ => json!({}),
    };
    on_xray_with(option, protocol, network, security, transport)
}

pub fn on_xray_with(option: &str, protocol: &'static str, network: &str, security: &str, transport: Value) -> Case {
    let inbound = xray(protocol, network, security, transport);
    Case::new(
        format!("xray-{protocol}-{network}-{security}{option}"),
        Engine::Xray,
        inbound,
        protocol,
        network,
        security,
    )
}

pub fn on_sing_box(option: &str, protocol: &'static str, network: &str, security: &str, more: Value) -> Case {
    let inbound = sing_box(protocol, network, security, more);
    let name = format!("singbox-{protocol}-{}-{security}{option}", if network.is_empty() { "unset" } else { network });
    Case::new(name, Engine::SingBox, inbound, protocol, network, security)
}

/// Settings of current cores that a program could accept and not use.
fn core_settings() -> Vec<Case> {
    const ECH_KEY: [&str; 5] = [
        "-----BEGIN ECH KEYS-----",
        "ACBgdF420khBec9CnQpEN775XxMSE/n+VxFwR6YeG2DmbQBM/g0ASAAAIAAgmikG",
        "EBFTFoyTRWJvE8VovQ9BydL2I2NqwYfQ23h7W04ADAABAAEAAQACAAEAAwARZGVj",
        "b3kuZXhhbXBsZS5jb20AAA==",
        "-----END ECH KEYS-----",
    ];
    let with = |case: Case, core: Value| case.with(|spec| spec.core_settings = Some(settings(core)));
    let keys = "mlkem768x25519plus.native";
    let mut encrypted = on_xray("-encryption", "vless", "tcp", "none");
    encrypted.inbounds[0]["settings"]["decryption"] = format!("{keys}.600s.{}", REALITY.0).into();
    let mut ech = on_sing_box("-ech", "vless", "", "tls", json!({}));
    ech.inbounds[0]["tls"]["ech"] = json!({"enabled": true, "key": ECH_KEY});
    let obfs = json!({"obfs": {"type": "salamander", "password": "secret"}});
    let hysteria = on_sing_box("-core", "hysteria2", "", "tls", obfs);
    let bandwidth = json!({"obfs": "salamander", "obfs_password": "secret", "up_mbps": 100, "down_mbps": 100});
    vec![
        with(encrypted, json!({"encryption": format!("{keys}.0rtt.{}", REALITY.1)})),
        with(ech, json!({"ech_config_list": ECH})),
        with(hysteria, bandwidth),
        with(
            on_sing_box("-core", "tuic", "", "tls", json!({})),
            json!({"congestion_control": "bbr", "udp_relay_mode": "quic"}),
        ),
        on_sing_box("", "anytls", "", "tls", json!({})),
    ]
}

fn over_udp() -> Vec<Case> {
    let salamander = json!({"obfs": {"type": "salamander", "password": "secret"}});
    let obfuscated = json!({"header_type": "salamander", "path": "secret"});
    let hysteria = |option, mask: Value| {
        let mut inbound = xray("hysteria2", "hysteria", "tls", json!({"version": 2}));
        if !mask.is_null() {
            inbound["streamSettings"]["finalmask"] = mask;
        }
        Case::new(format!("xray-hysteria2{option}"), Engine::Xray, inbound, "hysteria2", "", "tls")
    };
    let mask = json!({"udp": [{"type": "salamander", "settings": {"password": "secret"}}]});
    let wireguard =
        Case::new("xray-wireguard".to_owned(), Engine::Xray, inbounds::xray_wireguard(), "wireguard", "", "none");
    vec![
        hysteria("", Value::Null),
        hysteria("-obfs", mask).reporting(obfuscated.clone()),
        on_sing_box("", "hysteria2", "", "tls", json!({})),
        on_sing_box("-obfs", "hysteria2", "", "tls", salamander).reporting(obfuscated),
        on_sing_box("", "tuic", "", "tls", json!({})),
        Case { names_user: false, ..wireguard.reporting(json!({"path": WIREGUARD.1, "address": "10.0.0.1/24"})) },
    ]
}

/// ShadowTLS carries another protocol: the host of that protocol has it as its chain.
fn shadowtls() -> Vec<Case> {
    const WRAPPERS: [&str; 3] = ["wrapper-1", "wrapper-2", "wrapper-3"];
    let pair = |(version, wrapper): (usize, &'static str)| {
        let wrapped = format!("singbox-shadowsocks-in-shadowtls-{version}");
        let mut front = json!({
            "version": version, "detour": wrapped, "handshake": {"server": HERE, "server_port": "BORROWED"},
        });
        if version == 2 {
            front["password"] = PASSWORD.into();
        }
        if version == 3 {
            front["users"] = json!([{"name": "7.ann", "password": PASSWORD}]);
        }
        let front = sing_box("shadowtls", "", "none", front);
        let front = Case::new(wrapper.to_owned(), Engine::SingBox, front, "shadowtls", "", "tls");
        let inside = json!({"method": "chacha20-ietf-poly1305", "password": PASSWORD});
        let inside = sing_box("shadowsocks", "", "none", inside);
        let inside = Case::new(wrapped, Engine::SingBox, inside, "shadowsocks", "", "none");
        [front.reporting(json!({"shadowtls_version": version})), Case { through: Some(wrapper), ..inside }]
    };
    (1..).zip(WRAPPERS).flat_map(pair).collect()
}

fn shadowsocks() -> Vec<Case> {
    const KEYS: [(&str, &str, &str); 2] = [
        ("2022-blake3-aes-128-gcm", "AQIDBAUGBwgJCgsMDQ4PEA==", "ERITFBUWFxgZGhscHR4fIA=="),
        (
            "2022-blake3-aes-256-gcm",
            "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
            "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
        ),
    ];
    const CHACHA: (&str, &str) = ("2022-blake3-chacha20-poly1305", KEYS[1].1);
    let unbound = |name: String, engine, inbound, method: &str, password: String| Case {
        reported: None,
        ..Case::new(name, engine, inbound, "shadowsocks", "", "none").with(|spec| {
            spec.protocol = Some("shadowsocks".to_owned());
            spec.shadowsocks_method = Some(method.to_owned());
            spec.password = Some(password);
        })
    };
    let mut cases: Vec<Case> = ["chacha20-ietf-poly1305", "aes-128-gcm", "aes-256-gcm", "xchacha20-ietf-poly1305"]
        .into_iter()
        .map(|method| {
            let inbound = inbounds::xray_shadowsocks(method);
            Case::new(format!("xray-{method}"), Engine::Xray, inbound, "shadowsocks", "tcp", "none").with(|spec| {
                spec.shadowsocks_method = (method != "chacha20-ietf-poly1305").then(|| method.to_owned());
            })
        })
        .collect();
    for (method, key, user) in KEYS {
        let both = format!("{key}:{user}");
        let several = inbounds::xray_shadowsocks_2022(method, key, user);
        cases.push(unbound(format!("xray-{method}-users"), Engine::Xray, several, method, both.clone()));
        let several = json!({"method": method, "password": key, "users": [{"name": "a", "password": user}]});
        let several = sing_box("shadowsocks", "", "none", several);
        cases.push(unbound(format!("singbox-{method}-users"), Engine::SingBox, several, method, both));
    }
    for (method, key) in [(KEYS[0].0, KEYS[0].1), (KEYS[1].0, KEYS[1].1), CHACHA] {
        let single = sing_box("shadowsocks", "", "none", json!({"method": method, "password": key}));
        cases.push(unbound(format!("singbox-{method}"), Engine::SingBox, single, method, key.to_owned()));
    }
    cases
}

/// Options of hosts over the transports that have them.
fn options() -> Vec<Case> {
    let vision = |security: &str, flow: &str| {
        let mut case = on_xray(&format!("-{flow}"), "vless", "tcp", security);
        case.inbounds[0]["settings"]["clients"][0]["flow"] = "xtls-rprx-vision".into();
        case.reporting(json!({"flow": flow}))
    };
    let masked = |option: &str, header: Option<&str>, seed: Option<&str>| {
        let mut case = on_xray(option, "vmess", "kcp", "none");
        let name = header.map(|header| if header == "wechat-video" { "wechat" } else { header });
        let mut mask = json!({"header": name, "value": seed});
        mask.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        case.inbounds[0]["streamSettings"]["finalmask"] = json!({"udp": [{"type": "mkcp-legacy", "settings": mask}]});
        case.reporting(json!({"header_type": header, "path": seed}))
    };
    let http_header = json!({"header": {"type": "http", "request": {"path": [PATH]}}});
    let disguised = |protocol, option: &str| {
        on_xray_with(&format!("-http{option}"), protocol, "tcp", "none", http_header.clone())
            .reporting(json!({"header_type": "http", "path": PATH}))
    };
    let xhttp = |protocol, mode: &str| {
        on_xray(&format!("-{mode}"), protocol, "splithttp", "tls").with(|spec| {
            let padding_bytes = Some("100-200".to_owned());
            let settings =
                SplitHttpSettings { mode: Some(mode.to_owned()), padding_bytes, ..SplitHttpSettings::default() };
            spec.splithttp_settings = Some(settings);
        })
    };
    let headers = |spec: &mut HostSpec| {
        spec.host = Some("h.example".to_owned());
        spec.http_headers = Some([("X-A".to_owned(), "b".to_owned())].into());
    };
    let mux = |protocol: &str| MuxSettings {
        protocol: protocol.to_owned(),
        sing_box_mux_settings: None,
        mux_cool_settings: Some(MuxCoolSettings { concurrency: Some(8), ..MuxCoolSettings::default() }),
    };
    let multiplexed = |protocol: &str| {
        let served = json!({"multiplex": {"enabled": true}});
        on_sing_box(&format!("-{protocol}"), "vless", "", "tls", served)
            .with(|spec| spec.mux_settings = Some(mux(protocol)))
    };
    let mut cases = vec![
        vision("tls", "xtls-rprx-vision"),
        vision("reality", "xtls-rprx-vision"),
        vision("tls", "xtls-rprx-vision-udp443"),
        masked("-seed", None, Some("seed")),
        masked("-both", Some("srtp"), Some("seed")),
        // Servers before Xray 26 scramble the packets without a seed, too.
        masked("-old", None, None),
        disguised("vmess", ""),
        disguised("vless", ""),
        disguised("vmess", "-host").with(|spec| spec.host = Some("h.example".to_owned())),
        on_xray("-cool", "vmess", "tcp", "none").with(|spec| spec.mux_settings = Some(mux("mux_cool"))),
        multiplexed("h2mux"),
        multiplexed("smux"),
        multiplexed("yamux"),
        on_xray("-fragment", "vless", "tcp", "tls").with(|spec| {
            let [packets, length, interval] = ["tlshello", "10-20", "1-2"].map(str::to_owned);
            spec.fragment = Some(FragmentSettings { packets, length, interval });
        }),
        on_xray("-noise", "vmess", "kcp", "none").with(|spec| {
            let noise = Noise { kind: NoiseKind::Rand, packet: "5-10".to_owned(), delay: "1-2".to_owned() };
            spec.noise = Some(vec![noise]);
        }),
        on_xray("-authority", "vless", "grpc", "tls").with(|spec| spec.host = Some("h.example".to_owned())),
        Case { through: Some("xray-vless-tcp-tls"), ..on_xray("-chain", "vmess", "ws", "tls") },
        Case { through: Some("singbox-hysteria2-unset-tls"), ..on_sing_box("-chain", "trojan", "", "tls", json!({})) },
    ];
    cases.extend(
        ["srtp", "utp", "wechat-video", "dtls", "wireguard"]
            .map(|header| masked(&format!("-{header}"), Some(header), None)),
    );
    cases.extend(["auto", "packet-up", "stream-up", "stream-one"].map(|mode| xhttp("vless", mode)));
    for network in ["ws", "httpupgrade", "splithttp"] {
        cases.push(on_xray("-headers", "vless", network, "tls").with(headers));
    }
    for network in ["ws", "grpc", "http"] {
        cases.push(on_sing_box("-headers", "vmess", network, "tls", json!({})).with(headers));
    }
    for (option, path, early_data) in [("-ed", None, Some(2_048)), ("-ed-in-path", Some("/p/q?ed=2048"), None)] {
        for network in ["ws", "httpupgrade"] {
            cases.push(on_xray(option, "vless", network, "tls").with(|spec| {
                spec.path = path.map(str::to_owned);
                spec.early_data = early_data;
            }));
        }
    }
    for alpn in Alpn::ALL {
        for network in ["tcp", "ws", "grpc", "splithttp"] {
            let option = format!("-alpn-{}", alpn.word().replace([',', '.', '/'], "-"));
            // These servers have no HTTP/3.
            if !alpn.word().contains("h3") && network != "splithttp" || alpn == Alpn::H2 {
                cases.push(on_xray(&option, "trojan", network, "tls").with(|spec| spec.alpn = alpn));
            }
        }
    }
    for fingerprint in [Fingerprint::Chrome, Fingerprint::Firefox, Fingerprint::Randomized] {
        for network in ["tcp", "ws", "grpc", "httpupgrade", "splithttp"] {
            let option = format!("-{}", fingerprint.word());
            cases.push(on_xray(&option, "vless", network, "tls").with(|spec| spec.fingerprint = fingerprint));
        }
    }
    cases
}
