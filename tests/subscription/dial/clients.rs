//! The clients: one process for each program, with a SOCKS listener for each outbound that the panel wrote.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::subscription::{referees, yaml};

use super::process::{HERE, Program, free_port, trusting};
use super::servers::{Servers, sing_box_program, xray_program};
use super::traffic;

/// A running client with the port for each case by the case's name.
pub struct Running {
    program: Program,
    pub ports: BTreeMap<String, u16>,
}

impl Running {
    fn new(mut program: Program, ports: BTreeMap<String, u16>) -> Self {
        program.listens(ports.values());
        Self { program, ports }
    }

    /// The lines of the client about a destination.
    pub fn lines(&self, destination: Ipv4Addr) -> String {
        let (output, destination) = (self.program.output(), destination.to_string());
        let lines: Vec<&str> = output.lines().filter(|line| line.contains(&destination)).take(5).collect();
        lines.join("\n")
    }
}

/// Xray with the outbounds of all configurations of a document.
pub fn xray(package: &str, document: &str, servers: &Servers) -> Running {
    let configurations: Vec<Value> = serde_json::from_str(document).unwrap();
    let (mut ports, mut inbounds, mut outbounds, mut rules) = (BTreeMap::new(), vec![], vec![], vec![]);
    for configuration in &configurations {
        let name = configuration["remarks"].as_str().unwrap();
        let tagged = |tag: &Value| format!("{name}/{}", tag.as_str().unwrap());
        for outbound in configuration["outbounds"].as_array().unwrap() {
            let mut outbound = outbound.clone();
            outbound["tag"] = tagged(&outbound["tag"]).into();
            // The newest versions do not read the system's certificates.
            for place in ["", "/splithttpSettings/downloadSettings"] {
                if let Some(tls) = outbound.pointer_mut(&format!("/streamSettings{place}/tlsSettings")) {
                    tls["certificates"] = json!([{"usage": "verify", "certificateFile": servers.certificate()}]);
                }
            }
            if let Some(through) = outbound.pointer_mut("/streamSettings/sockopt/dialerProxy") {
                *through = tagged(through).into();
            }
            outbounds.push(outbound);
        }
        let port = free_port();
        inbounds.push(json!({
            "protocol": "socks", "listen": HERE, "port": port, "tag": name, "settings": {"udp": true, "ip": HERE},
        }));
        rules.push(json!({"inboundTag": [name], "outboundTag": tagged(&configuration["outbounds"][0]["tag"])}));
        ports.insert(name.to_owned(), port);
    }
    let configuration = json!({
        "log": {"loglevel": "info"},
        "inbounds": inbounds, "outbounds": outbounds, "routing": {"rules": rules},
    });
    let folder = servers.folder.path();
    Running::new(xray_program(package, &configuration, folder, &format!("xray-{package}")), ports)
}

/// sing-box with the outbounds of a document. The package's sing-box has no uTLS, which REALITY needs.
pub fn sing_box(version: &str, document: &str, servers: &Servers) -> Running {
    let document: Value = serde_json::from_str(document).unwrap();
    let has_reality = |outbound: &&Value| outbound["tls"].get("reality").is_none();
    let (mut ports, mut inbounds, mut rules) = (BTreeMap::new(), vec![], vec![]);
    let mut lists = BTreeMap::new();
    for list in ["outbounds", "endpoints"] {
        let entries = document[list].as_array().into_iter().flatten().filter(has_reality);
        let mut used = Vec::new();
        for entry in entries.filter(|entry| !matches!(entry["type"].as_str(), Some("selector" | "urltest"))) {
            let mut entry = entry.clone();
            if let Some(tls) = entry.get_mut("tls").and_then(Value::as_object_mut) {
                tls.remove("utls");
            }
            // Hops of chains have a number after the name.
            if entry["type"] != "direct" && !entry["tag"].as_str().unwrap().contains(' ') {
                let (name, port) = (entry["tag"].as_str().unwrap().to_owned(), free_port());
                inbounds
                    .push(json!({"type": "socks", "listen": HERE, "listen_port": port, "tag": format!("in {name}")}));
                rules.push(json!({"inbound": [format!("in {name}")], "outbound": name}));
                ports.insert(name, port);
            }
            used.push(entry);
        }
        lists.insert(list, used);
    }
    let configuration = json!({
        "log": {"level": "info"},
        "inbounds": inbounds, "outbounds": lists["outbounds"], "endpoints": lists["endpoints"],
        "route": {"rules": rules, "final": "direct"},
    });
    let folder = servers.folder.path();
    Running::new(sing_box_program(version, &configuration, folder, &format!("sing-box-{version}")), ports)
}

/// Mihomo with the proxies of a document.
pub fn mihomo(document: &str, servers: &Servers) -> Running {
    let proxies = yaml::read(document)["proxies"].clone();
    let names = proxies.as_array().unwrap().iter().map(|proxy| proxy["name"].as_str().unwrap().to_owned());
    let ports: BTreeMap<String, u16> = names.map(|name| (name, free_port())).collect();
    mihomo_with("mihomo", json!({"proxies": proxies}), |name| name.to_owned(), ports, servers)
}

/// Mihomo with a file of links, which it reads itself.
pub fn mihomo_links(links: &str, names: Vec<String>, servers: &Servers) -> Running {
    let folder = servers.folder.path().join("mihomo-links");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("links.txt"), links).unwrap();
    let ports: BTreeMap<String, u16> = names.into_iter().map(|name| (name, free_port())).collect();
    let group = |name: &String| json!({"name": format!("only {name}"), "type": "select", "use": ["links"], "filter": format!("^{name}$")});
    let mut configuration = json!({
        "proxy-providers": {"links": {"type": "file", "path": "./links.txt", "health-check": {"enable": false}}},
        "proxy-groups": ports.keys().map(group).collect::<Vec<_>>(),
    });
    let controller = free_port();
    configuration["external-controller"] = format!("{HERE}:{controller}").into();
    let running = mihomo_with("mihomo-links", configuration, |name| format!("only {name}"), ports, servers);
    while !provided(controller).contains("\"alive\"") {
        std::thread::sleep(Duration::from_millis(50));
    }
    running
}

/// The proxies that Mihomo has read from the links, in its own words.
fn provided(controller: u16) -> String {
    let mut stream = TcpStream::connect((HERE, controller)).unwrap();
    stream.write_all(b"GET /providers/proxies/links HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The number of links in which Mihomo finds a server.
pub fn links_read_by_mihomo(links: &str) -> usize {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("links.txt"), links).unwrap();
    let controller = free_port();
    let configuration = json!({
        "external-controller": format!("{HERE}:{controller}"),
        "proxy-providers": {"links": {"type": "file", "path": "./links.txt", "health-check": {"enable": false}}},
        "proxy-groups": [{"name": "all", "type": "select", "use": ["links"]}],
        "rules": ["MATCH,all"],
    });
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, configuration.to_string()).unwrap();
    let program = referees::mihomo_program();
    let mut command = Command::new(referees::executable(&program));
    command.arg("-d").arg(folder.path()).arg("-f").arg(&path);
    let mut program = Program::start(command, folder.path().join("log"));
    program.listens([controller].iter());
    // It reads the file after it has begun to listen, and says so if it finds nothing.
    for _ in 0..200 {
        let answer = provided(controller);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        let read: Value = serde_json::from_str(body).unwrap_or_default();
        let proxies = read["proxies"].as_array().map_or(0, Vec::len);
        if proxies > 0 || program.output().contains("links error") {
            return proxies;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    0
}

fn mihomo_with(
    name: &str,
    mut configuration: Value,
    outbound: impl Fn(&str) -> String,
    ports: BTreeMap<String, u16>,
    servers: &Servers,
) -> Running {
    let listeners = ports.iter().map(|(name, port)| {
        json!({"name": format!("in {name}"), "type": "socks", "listen": HERE, "port": port, "udp": true, "proxy": outbound(name)})
    });
    configuration["listeners"] = listeners.collect();
    // It listens before it passes connections on: the first ones would be closed.
    let probe = free_port();
    let listener = json!({"name": "probe", "type": "socks", "listen": HERE, "port": probe, "proxy": "DIRECT"});
    configuration["listeners"].as_array_mut().unwrap().push(listener);
    configuration["log-level"] = "info".into();
    configuration["rules"] = json!(["MATCH,REJECT"]);
    let folder = servers.folder.path().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("config.yaml");
    std::fs::write(&path, configuration.to_string()).unwrap();
    let program = referees::mihomo_program();
    let mut command = trusting(referees::executable(&program), &servers.certificate());
    command.arg("-d").arg(&folder).arg("-f").arg::<&Path>(&path);
    let running = Running::new(Program::start(command, folder.join("log")), ports);
    traffic::wait_for(probe);
    running
}
