//! Inbounds of servers in their own words.

use serde_json::{Map, Value, json};

use super::servers::NAME;

/// The user's UUID, derived from the key of the tests' user.
pub const UUID: &str = "92ac8641-a192-b9f3-b912-a2a7b516ac83";
/// The user's password.
pub const PASSWORD: &str = "92ac8641a192b9f3b912a2a7b516ac83";
/// The path of every transport that has one.
pub const PATH: &str = "/p/q";
/// The service name of gRPC.
pub const SERVICE: &str = "svc";
/// The private key of REALITY, and the public one that the node reports.
pub const REALITY: (&str, &str) =
    ("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA", "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9_AsrhtHHw");
/// The same keys as WireGuard writes them.
pub const WIREGUARD: (&str, &str) =
    ("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=", "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=");
/// The public key of the user's WireGuard key.
const USERS_WIREGUARD: &str = "uvIAvhV7Z9tzLzoO03t2Qd1stcQS5QO2JrV0yt7tKCY=";
/// The user's name on nodes.
const EMAIL: &str = "7.ann";

fn certificate(folder: &str) -> Value {
    json!({"certificateFile": format!("{folder}/certificate.pem"), "keyFile": format!("{folder}/key.pem")})
}

/// A server with TLS that lends its handshake.
pub fn borrowed(port: u16) -> Value {
    json!({
        "tag": "borrowed", "protocol": "trojan", "listen": "127.0.0.1", "port": port, "settings": {"clients": []},
        "streamSettings": {"network": "tcp", "security": "tls", "tlsSettings": {
            "certificates": [certificate("FOLDER")], "alpn": ["h2", "http/1.1"],
        }},
    })
}

/// An inbound of Xray with settings of the transport.
pub fn xray(protocol: &str, network: &str, security: &str, transport: Value) -> Value {
    let alpn = if protocol == "hysteria2" { json!(["h3"]) } else { json!(["h2", "http/1.1"]) };
    let settings = match protocol {
        "vmess" => json!({"clients": [{"id": UUID, "email": EMAIL}]}),
        "vless" => json!({"clients": [{"id": UUID, "email": EMAIL}], "decryption": "none"}),
        "hysteria2" => json!({"version": 2, "clients": [{"auth": PASSWORD, "email": EMAIL}]}),
        _ => json!({"clients": [{"password": PASSWORD, "email": EMAIL}]}),
    };
    let name = match network {
        "tcp" => "tcpSettings",
        "kcp" => "kcpSettings",
        "ws" => "wsSettings",
        "grpc" => "grpcSettings",
        "httpupgrade" => "httpupgradeSettings",
        "hysteria" => "hysteriaSettings",
        _ => "splithttpSettings",
    };
    let mut stream = json!({"network": network, "security": security, name: transport});
    match security {
        "tls" => stream["tlsSettings"] = json!({"certificates": [certificate("FOLDER")], "alpn": alpn}),
        "reality" => {
            stream["realitySettings"] = json!({
                "dest": "127.0.0.1:BORROWED", "serverNames": [NAME], "privateKey": REALITY.0, "shortIds": ["aa"],
            });
        }
        _ => {}
    }
    let protocol = if protocol == "hysteria2" { "hysteria" } else { protocol };
    json!({"protocol": protocol, "settings": settings, "streamSettings": stream})
}

/// An inbound of Shadowsocks in Xray, with a cipher before 2022.
pub fn xray_shadowsocks(method: &str) -> Value {
    let client = json!({"password": PASSWORD, "method": method, "email": EMAIL});
    json!({"protocol": "shadowsocks", "settings": {"network": "tcp,udp", "clients": [client]}})
}

/// An inbound of Shadowsocks in Xray, with a cipher of 2022 and several users.
pub fn xray_shadowsocks_2022(method: &str, key: &str, user: &str) -> Value {
    let clients = json!([{"password": key, "email": "8.bob"}, {"password": user, "email": EMAIL}]);
    json!({"protocol": "shadowsocks", "settings": {
        "network": "tcp,udp", "method": method, "password": key, "clients": clients,
    }})
}

/// An inbound of WireGuard in Xray.
pub fn xray_wireguard() -> Value {
    let peer = json!({"publicKey": USERS_WIREGUARD, "allowedIPs": ["0.0.0.0/0", "::/0"]});
    json!({"protocol": "wireguard", "settings": {"secretKey": WIREGUARD.0, "peers": [peer]}})
}

/// An inbound of sing-box.
pub fn sing_box(protocol: &str, network: &str, security: &str, more: Value) -> Value {
    let mut inbound = Map::from_iter([("type".to_owned(), protocol.into())]);
    match protocol {
        "vmess" | "vless" => _ = inbound.insert("users".to_owned(), json!([{"name": EMAIL, "uuid": UUID}])),
        "trojan" | "hysteria2" | "anytls" => {
            inbound.insert("users".to_owned(), json!([{"name": EMAIL, "password": PASSWORD}]));
        }
        "tuic" => {
            inbound.insert("users".to_owned(), json!([{"name": EMAIL, "uuid": UUID, "password": PASSWORD}]));
        }
        _ => {}
    }
    let transport = match network {
        "ws" | "httpupgrade" | "http" => json!({"type": network, "path": PATH}),
        "grpc" => json!({"type": "grpc", "service_name": SERVICE}),
        "quic" => json!({"type": "quic"}),
        _ => Value::Null,
    };
    if !transport.is_null() {
        inbound.insert("transport".to_owned(), transport);
    }
    if security == "tls" {
        let alpn = if matches!(protocol, "tuic" | "hysteria2") || network == "quic" {
            json!(["h3"])
        } else {
            json!(["h2", "http/1.1"])
        };
        let tls = json!({
            "enabled": true, "server_name": NAME, "alpn": alpn,
            "certificate_path": "FOLDER/certificate.pem", "key_path": "FOLDER/key.pem",
        });
        inbound.insert("tls".to_owned(), tls);
    }
    inbound.extend(more.as_object().unwrap().clone());
    inbound.into()
}
