//! Hosts and inbounds with odd values, drawn from the lists in `values.json`.

use std::sync::LazyLock;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sarban::domain::host::HostSpec;
use sarban::domain::ids::HostId;
use sarban::subscription::catalogue::HostRow;
use serde_json::{Map, Value, json};

use crate::subscription::literal::row;

static VALUES: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("values.json")).unwrap());

/// A source of hosts.
pub struct Odd(StdRng);

impl Odd {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// This many hosts: bound to an inbound or not, some with a chain.
    pub fn hosts(&mut self, number: usize) -> Vec<HostRow> {
        (0..number).map(|id| self.host(id)).collect()
    }

    fn host(&mut self, id: usize) -> HostRow {
        let (protocol, network) = self.kind();
        let bound = self.happens(0.5);
        let mut host = json!({"remark": "r", "address": "h.example", "port": 443});
        let object = host.as_object_mut().unwrap();
        // Few values at a time, so that most hosts are written.
        let odds = [0.0, 0.03, 0.07, 0.15][self.0.random_range(0..4)];
        let inbound = bound.then(|| self.inbound(&network, odds));
        if !bound {
            object.insert("protocol".to_owned(), protocol.into());
            object.insert("network".to_owned(), network);
            object.insert("uuid".to_owned(), "5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11".into());
            object.insert("password".to_owned(), "pw".into());
            if self.happens(0.6) {
                object.insert("security".to_owned(), "tls".into());
            }
        }
        self.change(object, "host", odds);
        if self.happens(0.3) {
            let mut core = Map::new();
            self.change(&mut core, "core", odds);
            object.insert("core_settings".to_owned(), core.into());
        }
        let spec: HostSpec = serde_json::from_value(host).unwrap();
        let mut row = row(i64::try_from(id).unwrap(), spec, inbound.map(|config| (protocol, config.to_string())));
        if id > 0 && self.happens(0.02) {
            row.host.chain_ids = vec![HostId(i64::try_from(self.0.random_range(0..id)).unwrap())];
        }
        row
    }

    fn inbound(&mut self, network: &Value, odds: f64) -> Value {
        let tls = ["none", "tls", "tls", "reality", "reality", "foo"][self.0.random_range(0..6)];
        let mut config = json!({
            "port": 443, "network": network, "tls": tls, "sni": ["s.example"], "pbk": VALUES["reported"]["pbk"][0],
            "sid": "aa", "address": "10.0.0.1/24", "shadowtls_version": 3,
        });
        if self.happens(0.6) {
            config["path"] = "/p".into();
        }
        let object = config.as_object_mut().unwrap();
        self.change(object, "reported", odds);
        if self.happens(0.2) {
            self.change(object, "core", odds);
        }
        config
    }

    fn kind(&mut self) -> (&'static str, Value) {
        // The layered protocols have most transports and options.
        let first = if self.happens(0.7) { 3 } else { VALUES["kinds"].as_array().unwrap().len() };
        let kind = &VALUES["kinds"][self.0.random_range(0..first)];
        let network = if self.happens(0.05) { self.one_of(&VALUES["networks"]) } else { self.one_of(&kind[1]) };
        let network = if network == "" && self.happens(0.5) { Value::Null } else { network };
        (kind[0].as_str().unwrap(), network)
    }

    /// Sets each field with these odds.
    fn change(&mut self, object: &mut Map<String, Value>, list: &str, odds: f64) {
        for (field, values) in VALUES[list].as_object().unwrap() {
            if self.happens(odds) {
                object.insert(field.clone(), self.one_of(values));
            }
        }
    }

    fn one_of(&mut self, list: &Value) -> Value {
        let list = list.as_array().unwrap();
        list[self.0.random_range(0..list.len())].clone()
    }

    fn happens(&mut self, odds: f64) -> bool {
        self.0.random_bool(odds)
    }
}
