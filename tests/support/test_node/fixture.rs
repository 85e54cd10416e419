//! Inbounds of a test node: from a file, or a small built-in set.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use sarban::nodes::proto::{Backend, Inbound};
use serde::Deserialize;

#[derive(Debug)]
pub struct Fixture {
    pub listen: SocketAddr,
    pub tls: bool,
    pub backends: Vec<Backend>,
}

#[derive(Deserialize)]
struct File {
    nodes: Vec<FileNode>,
}

#[derive(Deserialize)]
struct FileNode {
    name: String,
    listen: SocketAddr,
    tls: bool,
    fetch_backends: Vec<FileBackend>,
}

#[derive(Deserialize)]
struct FileBackend {
    name: String,
    r#type: Option<String>,
    version: Option<String>,
    inbounds: Vec<FileInbound>,
}

#[derive(Deserialize)]
struct FileInbound {
    tag: String,
    config: Option<String>,
}

impl Fixture {
    /// Reads the node called `name` from a JSON file.
    pub fn read(path: &Path, name: &str) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
        let file: File =
            serde_json::from_str(&text).with_context(|| format!("{} is not a file of nodes", path.display()))?;
        let node = file.nodes.into_iter().find(|node| node.name == name);
        let node = node.with_context(|| format!("{} has no node called {name}", path.display()))?;
        let backends = node.fetch_backends.into_iter().map(FileBackend::into_backend).collect();
        Ok(Self { listen: node.listen, tls: node.tls, backends })
    }

    /// Returns one engine with four inbounds: `vless`, `vmess`, `trojan`, `shadowsocks`.
    pub fn built_in() -> Self {
        let config = |protocol: &str, port: u16, network: &str, more: &str| {
            format!(
                r#"{{"tag": "{protocol}", "protocol": "{protocol}", "port": {port}, "network": {network}, {more}, "host": [], "header_type": null, "is_fallback": false}}"#
            )
        };
        let reality = r#""tls": "reality", "sni": ["cdn.example.org"], "path": null, "flow": "xtls-rprx-vision", "fp": "firefox", "pbk": "8hVw3mJrQyN0b6nYxk1oTzUe5cLwAi9fRsGdPqKtM2E", "sid": "0f1e2d3c""#;
        let inbounds = [
            ("vless", config("vless", 8443, r#""tcp""#, reality)),
            ("vmess", config("vmess", 8080, r#""ws""#, r#""tls": "none", "sni": [], "path": "/stream", "flow": null"#)),
            ("trojan", config("trojan", 8444, r#""tcp""#, r#""tls": "tls", "sni": [], "path": null, "flow": null"#)),
            (
                "shadowsocks",
                config("shadowsocks", 8388, "null", r#""tls": "none", "sni": [], "path": null, "flow": null"#),
            ),
        ];
        let inbounds = inbounds.map(|(tag, config)| Inbound { tag: tag.into(), config: Some(config) }).into();
        let (name, version) = ("xray".to_owned(), Some("25.1.1".to_owned()));
        let backend = Backend { r#type: Some(name.clone()), name, version, inbounds };
        Self { listen: ([127, 0, 0, 1], 53042).into(), tls: false, backends: vec![backend] }
    }
}

impl FileBackend {
    fn into_backend(self) -> Backend {
        let inbound = |it: FileInbound| Inbound { tag: it.tag, config: it.config };
        Backend {
            name: self.name,
            r#type: self.r#type,
            version: self.version,
            inbounds: self.inbounds.into_iter().map(inbound).collect(),
        }
    }
}
