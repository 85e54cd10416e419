//! The servers: one Xray and one sing-box with an inbound for each case.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::subscription::referees::{self, NEWEST_XRAY, SING_BOXES};

use super::cases::{Case, Engine};
use super::process::{HERE, Program, free_port, trusting};
use super::traffic;

/// The name in the servers' certificate.
pub const NAME: &str = "s.example";

/// Running servers.
pub struct Servers {
    pub folder: TempDir,
    xray: Program,
    sing_box: Program,
    /// The connections that took the other way to a case.
    pub relayed: Vec<(String, Arc<AtomicUsize>)>,
}

impl Servers {
    /// Gives each case a port and starts the servers, which send all connections to the target.
    pub fn start(cases: &mut [Case], target: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let key = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        std::fs::write(folder.path().join("certificate.pem"), key.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.signing_key.serialize_pem()).unwrap();
        // Clients accept this one only because it is pinned.
        let pinned = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        std::fs::write(folder.path().join("pinned.pem"), pinned.cert.pem()).unwrap();
        std::fs::write(folder.path().join("pinned-key.pem"), pinned.signing_key.serialize_pem()).unwrap();
        let sha256 = |bytes: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let pin =
            sha256(pinned.cert.der()).as_ref().iter().fold(String::new(), |all, byte| all + &format!("{byte:02x}"));
        let key_pin = STANDARD.encode(sha256(&pinned.signing_key.subject_public_key_info()));
        // REALITY pretends to be this server, and ShadowTLS lets it do the handshake.
        let borrowed = free_port();
        let mut relayed = Vec::new();
        let mut inbounds = vec![(Engine::Xray, super::inbounds::borrowed(borrowed))];
        for case in cases {
            case.port = free_port();
            case.words = vec![("PIN", pin.clone()), ("KEYPIN", key_pin.clone())];
            if case.is_relayed {
                let (port, passed) = traffic::relay(case.port);
                case.words.push(("RELAY", port.to_string()));
                relayed.push((case.name.clone(), passed));
            }
            for mut inbound in std::mem::take(&mut case.inbounds) {
                let port = if inbound.get("tag").is_some() { free_port() } else { case.port };
                if inbound.get("tag").is_none() {
                    inbound["tag"] = case.name.as_str().into();
                }
                inbound["listen"] = HERE.into();
                inbound[if case.engine == Engine::Xray { "port" } else { "listen_port" }] = port.into();
                inbounds.push((case.engine, inbound));
            }
        }
        let of = |engine| -> Vec<Value> {
            let text = inbounds.iter().filter(|(of, _)| *of == engine).map(|(_, one)| one.clone()).collect::<Value>();
            let text = text
                .to_string()
                .replace("127.0.0.1:BORROWED", &format!("{HERE}:{borrowed}"))
                .replace("\"BORROWED\"", &borrowed.to_string())
                .replace("FOLDER", folder.path().to_str().unwrap());
            serde_json::from_str(&text).unwrap()
        };
        let xray = json!({
            "log": {"loglevel": "info"},
            "inbounds": of(Engine::Xray),
            "outbounds": [
                // Of a chain, a server connects to the next one.
                {"protocol": "freedom", "settings": {"finalRules": [{"action": "allow"}]}},
                {"tag": "target", "protocol": "freedom", "settings": {
                    "redirect": format!("{HERE}:{target}"), "finalRules": [{"action": "allow"}],
                }},
            ],
            "routing": {"rules": [{"ip": ["198.18.0.0/15"], "outboundTag": "target"}]},
        });
        let sing_box = json!({
            "log": {"level": "info"},
            "inbounds": of(Engine::SingBox),
            "outbounds": [{"type": "direct", "tag": "direct"}],
            "route": {"rules": [
                {"ip_cidr": ["198.18.0.0/15"], "action": "route-options", "override_address": HERE, "override_port": target},
            ], "final": "direct"},
        });
        let mut xray = xray_program(NEWEST_XRAY, &xray, folder.path(), "xray-server");
        xray.listens([borrowed].iter());
        let mut sing_box = sing_box_program(SING_BOXES[2], &sing_box, folder.path(), "sing-box-server");
        sing_box.says("sing-box started");
        Self { folder, xray, sing_box, relayed }
    }

    /// The certificate that clients must trust.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The output of the servers so far.
    pub fn logs(&self) -> Logs {
        Logs { xray: self.xray.output(), sing_box: self.sing_box.output() }
    }

    /// Waits until the log shows that the inbound of the case took a connection to this destination, of the user.
    pub fn show(&self, case: &Case, destination: Ipv4Addr) -> Result<(), String> {
        for _ in 0..40 {
            if self.logs().show(case, destination).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.logs().show(case, destination)
    }
}

/// The output of the servers.
pub struct Logs {
    xray: String,
    sing_box: String,
}

impl Logs {
    /// Checks that the inbound of the case took a connection to this destination, of the user.
    pub fn show(&self, case: &Case, destination: Ipv4Addr) -> Result<(), String> {
        let destination = format!("{destination}:80");
        let (log, tag) = match case.engine {
            Engine::Xray => (&self.xray, format!("[{} ", case.name)),
            Engine::SingBox => (&self.sing_box, format!("[{}]", case.name)),
        };
        match log.lines().find(|line| line.contains(&tag) && line.contains(&destination)) {
            None => Err("another inbound took the connection".to_owned()),
            Some(line) if case.names_user && !line.ends_with("email: 7.ann") => {
                Err(format!("the server does not know the user: {line}"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Starts Xray with a configuration.
pub fn xray_program(package: &str, configuration: &Value, folder: &Path, name: &str) -> Program {
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, configuration.to_string()).unwrap();
    let mut command = trusting(Path::new("python3"), &folder.join("certificate.pem"));
    command
        .args(["-c", "import sys, xray; xray.startFromJSON(open(sys.argv[1]).read())"])
        .arg(&path)
        .env("PYTHONPATH", crate::support::programs().join(format!("Xray-core-{package}")))
        .env("XRAY_LOCATION_ASSET", folder);
    Program::start(command, folder.join(format!("{name}.log")))
}

/// Starts sing-box with a configuration.
pub fn sing_box_program(version: &str, configuration: &Value, folder: &Path, name: &str) -> Program {
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, configuration.to_string()).unwrap();
    let program = referees::sing_box(version);
    let mut command = trusting(referees::executable(&program), &folder.join("certificate.pem"));
    command.args(["run", "--disable-color", "--config"]).arg(&path);
    Program::start(command, folder.join(format!("{name}.log")))
}
