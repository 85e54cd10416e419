//! The processes of a node's engines: which configurations they refuse, what they write to their log, and what the node
//! says about them.

use std::collections::BTreeSet;
use std::time::Duration;

use sarban::nodes::proto::Inbound;
use serde_json::{Value, json};

use super::program::RealEngine;

/// A port that another program on the node's host occupies.
pub const TAKEN_PORT: u64 = 1;

/// The behaviour of engines and of a node that runs them.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// The node reports engines as running that are not.
    pub lies: bool,
    /// Engines write nothing to their log when they start.
    pub is_quiet: bool,
    /// The node raises instead of starting an engine with a configuration that it refuses.
    pub raises: bool,
    /// Engines run for so long with a configuration that they refuse.
    pub dies_after: Duration,
    /// The node does not know GetBackendStats.
    pub has_no_stats: bool,
    /// The node raises in GetBackendStats.
    pub stats_raise: bool,
    /// The node raises in calls that change users while an engine does not run.
    pub refuses_users_when_dead: bool,
    /// An inbound to which no user can be added.
    pub tag_without_users: Option<String>,
}

/// The processes of the engines.
#[derive(Debug, Default)]
pub struct Processes {
    pub behaviour: Behaviour,
    /// Engines that do not run.
    pub dead: BTreeSet<String>,
    /// The number of calls of GetBackendStats.
    pub stats_calls: u64,
    /// The engine that is a real program.
    pub real: Option<RealEngine>,
}

impl Processes {
    /// Returns true if an engine runs, in fact.
    pub fn run(&mut self, name: &str) -> bool {
        match self.real.as_mut().filter(|real| real.name() == name) {
            Some(real) => real.runs(),
            None => !self.dead.contains(name),
        }
    }
}

/// Starts an engine with this configuration. The error is its last line.
pub fn verdict(config: &str) -> Result<(), String> {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    for inbound in config["inbounds"].as_array().into_iter().flatten() {
        let (tag, protocol) = (&inbound["tag"], inbound["protocol"].as_str().unwrap_or_default());
        if !["vless", "vmess", "trojan", "shadowsocks"].contains(&protocol) {
            return Err(format!(
                "Failed to start: main: failed to load config files: [stdin:] > infra/conf: failed to build inbound \
                 config with tag {tag} > infra/conf: unknown config id: {protocol}"
            ));
        }
        if inbound["port"] == TAKEN_PORT {
            return Err(format!(
                "Failed to start: app/proxyman/inbound: failed to listen TCP on {TAKEN_PORT} > \
                 listen tcp 0.0.0.0:{TAKEN_PORT}: bind: address already in use"
            ));
        }
    }
    Ok(())
}

/// Returns the inbounds of a configuration, as the node reports them. `None`: it names none.
pub fn inbounds(config: &str) -> Option<Vec<Inbound>> {
    let config: Value = serde_json::from_str(config).ok()?;
    let inbounds = config["inbounds"].as_array()?.iter().map(|inbound| {
        let tag = inbound["tag"].as_str().unwrap_or_default().to_owned();
        // Xray's name, or sing-box's.
        let either = |xray: &str, sing_box: &str| inbound.get(xray).or(inbound.get(sing_box)).cloned();
        let (protocol, port) = (either("protocol", "type"), either("port", "listen_port"));
        let config = json!({"tag": tag, "protocol": protocol, "port": port, "network": "tcp", "tls": "none"});
        Inbound { tag, config: Some(config.to_string()) }
    });
    Some(inbounds.collect())
}
