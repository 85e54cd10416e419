//! Subscriptions recorded from the old panel, compared with renderings of the same database rows.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sarban::domain::credentials::KeyDerivation;
use sarban::domain::host::variables::HostVariables;
use sarban::domain::inbound::InboundConfig;
use sarban::domain::subscription_settings::SubscriptionSettings;
use sarban::subscription::catalogue::{Catalogue, HostRow};
use sarban::subscription::client::Client;
use sarban::subscription::formats::{BASE64_LINKS, CLASH, CLASH_META, LINKS, SING_BOX, WIREGUARD, XRAY};
use sarban::subscription::templates::Templates;
use sarban::subscription::{Format, Request, render};
use serde_json::Value;

use super::{corrections, parse, rows, yaml};
use crate::subscription::compare::Tolerance;

/// Returns the folder of the recordings, which are not part of this repository, or `None` if SARBAN_CONTRACT_DIR is not
/// set.
#[expect(clippy::disallowed_methods, reason = "only this test reads the variable")]
fn recordings() -> Option<PathBuf> {
    let place = std::env::var_os("SARBAN_CONTRACT_DIR").map(|root| Path::new(&root).join("corpus/subscriptions"));
    if place.is_none() {
        println!("skipped: SARBAN_CONTRACT_DIR is not set");
    }
    place
}

struct Recorded {
    place: PathBuf,
    rows: Value,
    catalogue: Catalogue,
    settings: SubscriptionSettings,
    tolerance: Tolerance,
}

impl Recorded {
    fn open() -> Option<Self> {
        let place = recordings()?;
        let rows: Value = serde_json::from_str(&read(&place.join("db_rows.json"))).expect("JSON");
        let hosts = rows::hosts(&rows);
        let settings = rows["settings"][0]["subscription"].as_str().expect("settings");
        Some(Self {
            tolerance: tolerance(&hosts),
            catalogue: Catalogue::new(hosts),
            settings: serde_json::from_str(settings).expect("settings"),
            place,
            rows,
        })
    }

    fn rendered(&self, name: &str, format: &Format) -> String {
        let (user, now) = rows::user(&self.rows["users"][name]);
        let request = Request {
            variables: HostVariables::of(&user, self.rows["SERVER_IP"].as_str().expect("an address"), now),
            catalogue: &self.catalogue,
            settings: &self.settings,
            templates: &Templates::default(),
            derivation: KeyDerivation::Xxh128,
            client: Client::of(""),
        };
        render(format, &request, &mut StdRng::seed_from_u64(1)).body
    }

    /// Compares the rendering of each user that has a recording in this format.
    fn check(&self, extension: &str, format: &Format, read_back: fn(&str) -> Value) {
        let mut checked = 0;
        for name in self.rows["users"].as_object().expect("users").keys() {
            let Ok(expected) = fs::read_to_string(self.place.join(format!("{name}.{extension}"))) else { continue };
            self.compare(name, &read_back(&expected), &read_back(&self.rendered(name, format)));
            checked += 1;
        }
        assert!(checked >= 9, "{extension}: expected at least 9 recordings, found {checked}");
    }

    fn compare(&self, name: &str, expected: &Value, got: &Value) {
        let differences = self.tolerance.differences(expected, got);
        assert!(differences.is_empty(), "{name}:\n{}", differences.join("\n"));
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn tolerance(hosts: &[HostRow]) -> Tolerance {
    let configs = hosts.iter().filter_map(|row| row.inbound.as_ref()).map(|inbound| &inbound.config);
    Tolerance {
        string_hosts: configs.flat_map(|config| InboundConfig::parse(config).host).collect(),
        choices: hosts
            .iter()
            .flat_map(|row| [&row.host.spec.sni, &row.host.spec.host])
            .flatten()
            .map(|list| list.split(',').map(str::to_owned).collect())
            .collect(),
    }
}

fn links(text: &str) -> Value {
    corrections::links(text.lines().map(parse::link).collect())
}

fn base64_links(text: &str) -> Value {
    links(&String::from_utf8(STANDARD.decode(text).expect("base64")).expect("UTF-8"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn xray(text: &str) -> Value {
    corrections::xray(json(text))
}

#[test]
fn links_rendered_from_recorded_rows_match_recordings() {
    let Some(recorded) = Recorded::open() else { return };
    recorded.check("links.txt", &LINKS, links);
    recorded.check("v2ray.b64.txt", &BASE64_LINKS, base64_links);
    let expected = links(&read(&recorded.place.join("chain_patched/chainu.links")));
    recorded.compare("chainu", &expected, &links(&recorded.rendered("chainu", &LINKS)));
}

#[test]
fn xray_configurations_rendered_from_recorded_rows_match_recordings() {
    let Some(recorded) = Recorded::open() else { return };
    recorded.check("xray.json", &XRAY, xray);
    let mut expected = xray(&read(&recorded.place.join("chain_patched/chainu.xray")));
    // One chain has a ShadowTLS hop, which Xray does not support. The old panel rendered an entry that cannot work;
    // Sarban leaves the entry out.
    expected.as_array_mut().expect("a list").retain(|configuration| configuration["remarks"] != "chain 1 hop");
    recorded.compare("chainu", &expected, &xray(&recorded.rendered("chainu", &XRAY)));
}

/// Removes the number that a duplicate name gets. The old panel did not number duplicates.
fn unnumbered(name: &str) -> &str {
    name.rsplit_once(" (").filter(|(_, end)| matches!(*end, "2)" | "3)")).map_or(name, |(name, _)| name)
}

fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(list) => list.iter_mut().for_each(|value| each_text(value, change)),
        _ => {}
    }
}

fn sing_box(text: &str) -> Value {
    let mut configuration = json(text);
    for outbound in configuration["outbounds"].as_array_mut().expect("outbounds") {
        each_text(&mut outbound["tag"], &|tag| unnumbered(tag).to_owned());
        if let Some(listed) = outbound.get_mut("outbounds") {
            each_text(listed, &|tag| unnumbered(tag).to_owned());
        }
        // The old panel wrote two ALPN protocols as one text with a comma.
        if let Some(alpn) = outbound.pointer_mut("/tls/alpn") {
            let all = alpn.as_array().expect("a list").iter().filter_map(Value::as_str);
            *alpn = all.flat_map(|one| one.split(',')).collect();
        }
    }
    corrections::sing_box(configuration)
}

fn clash(text: &str) -> Value {
    let mut configuration = yaml::read(text);
    each_text(&mut configuration["proxy-groups"][0]["proxies"], &|name| unnumbered(name).to_owned());
    for proxy in configuration["proxies"].as_array_mut().expect("proxies") {
        each_text(&mut proxy["name"], &|name| unnumbered(name).to_owned());
        let proxy = proxy.as_object_mut().expect("an object");
        if proxy["type"] == "trojan" {
            // The old panel wrote `servername`, but Clash reads `sni` for trojan.
            if let Some(name) = proxy.remove("servername") {
                proxy.insert("sni".to_owned(), name);
            }
        }
    }
    corrections::clash(configuration)
}

/// Parses configurations and replaces the text of each by the list of its lines, without settings that have no value.
fn wireguard(text: &str) -> Value {
    let mut configurations = json(text);
    for configuration in configurations.as_array_mut().expect("a list") {
        let lines = configuration["config"].as_str().expect("a text").lines();
        configuration["config"] = lines.filter(|line| !line.ends_with("= ")).collect();
    }
    configurations
}

#[test]
fn sing_box_configurations_rendered_from_recorded_rows_match_recordings() {
    let Some(recorded) = Recorded::open() else { return };
    recorded.check("sing-box.json", &SING_BOX, sing_box);
    let expected = sing_box(&read(&recorded.place.join("chain_patched/chainu.sing-box")));
    recorded.compare("chainu", &expected, &sing_box(&recorded.rendered("chainu", &SING_BOX)));
}

#[test]
fn clash_configurations_rendered_from_recorded_rows_match_recordings() {
    let Some(recorded) = Recorded::open() else { return };
    recorded.check("clash.yml", &CLASH, clash);
    recorded.check("clash-meta.yml", &CLASH_META, clash);
    let expected = clash(&read(&recorded.place.join("chain_patched/chainu.clash-meta")));
    recorded.compare("chainu", &expected, &clash(&recorded.rendered("chainu", &CLASH_META)));
}

#[test]
fn wireguard_configurations_rendered_from_recorded_rows_match_recordings() {
    let Some(recorded) = Recorded::open() else { return };
    recorded.check("wireguard.json", &WIREGUARD, wireguard);
}
