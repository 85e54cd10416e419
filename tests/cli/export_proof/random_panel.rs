//! A panel with random rows of every table: ordinary ones, and what only this panel takes.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sarban::domain::host::{Alpn, Fingerprint, HostSecurity, HostSpec};
use sarban::domain::moment::{DAY, HOUR, Moment};
use sarban::domain::subscription_settings::SubscriptionSettings;
use sarban::store::import::tables::{
    AdminRow, AdminServiceRow, BackendRow, FetchRow, HostChainRow, HostRow, HostServiceRow, InboundRow,
    InboundServiceRow, JwtRow, NodeHourRow, NodeRow, ServiceRow, SettingsRow, TableRow, TlsRow, TrafficRow, UserHour,
    UserRow, UserServiceRow, insert, load_user_hours, remove_local_node,
};
use sarban::store::{Db, Engine, StoreError, Tx};
use serde_json::json;

use crate::support::database::execute;

/// 2026-11-23.
const NOW: i64 = 1_795_392_000_000_000;
/// Rows of small tables; there are ten times as many users.
const FEW: i64 = 6;

/// The rows.
pub struct RandomPanel {
    rng: StdRng,
    /// One of so many values is one that the old panel can't take; 0: none is.
    odd: u32,
    has_nuls: bool,
}

impl RandomPanel {
    pub fn new(seed: u64, engine: Engine) -> Self {
        // PostgreSQL can't store NUL characters.
        Self { rng: StdRng::seed_from_u64(seed), odd: 25, has_nuls: engine == Engine::Sqlite }
    }

    /// A panel that the old one takes as it is.
    pub fn plain() -> Self {
        Self { rng: StdRng::seed_from_u64(1), odd: 0, has_nuls: false }
    }

    pub async fn remove(db: &Db) {
        execute(
            db,
            "DELETE FROM hosts; DELETE FROM inbounds; DELETE FROM node_usage_hours; DELETE FROM user_usage_hours",
        )
        .await;
        execute(db, "DELETE FROM users; DELETE FROM nodes; DELETE FROM admins; DELETE FROM services").await;
        execute(db, "DELETE FROM settings; DELETE FROM jwt; DELETE FROM tls").await;
    }

    pub async fn write(mut self, db: &Db) {
        let mut tx = db.begin_bulk().await.expect("a transaction");
        let tx_ref = &mut tx;
        remove_local_node(tx_ref).await.expect("removed");
        self.accounts(tx_ref).await;
        self.nodes(tx_ref).await;
        self.hosts(tx_ref).await;
        if self.odd > 0 {
            self.hours(tx_ref).await;
        }
        self.settings(tx_ref).await;
        tx.commit().await.expect("committed");
    }

    fn is_odd(&mut self) -> bool {
        self.odd > 0 && self.rng.random_range(0..self.odd) == 0
    }

    fn chance(&mut self) -> bool {
        self.rng.random_range(0..2) == 0
    }

    /// A text of at most `most` characters, and now and then a longer one, or one with a NUL character.
    fn text(&mut self, most: usize) -> String {
        const WORDS: [&str; 10] = ["a", "Z9", "_", "é", "سارا", "🚀", "x y", "'\"", "\\n", "{USERNAME}"];
        let odd = self.is_odd();
        let length = if odd { most + 1 + self.rng.random_range(0..9) } else { self.rng.random_range(1..=most.min(60)) };
        let mut text = String::new();
        while text.chars().count() < length {
            text += WORDS[self.rng.random_range(0..WORDS.len())];
        }
        text = text.chars().take(length).collect();
        if odd && self.has_nuls && self.chance() { text.replacen('a', "\0", 1) } else { text }
    }

    fn unique(&mut self, id: i64, most: usize) -> String {
        let text = self.text(most - 8);
        format!("{id}{text}")
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance().then(|| make(self))
    }

    fn time(&mut self) -> i64 {
        if self.is_odd() {
            return if self.chance() { Moment::MAX.micros() } else { Moment::MIN.micros() };
        }
        NOW + self.rng.random_range(-900..900) * DAY + self.rng.random_range(0..DAY)
    }

    fn bytes(&mut self) -> i64 {
        if self.is_odd() { 1 << 50 } else { self.rng.random_range(0..1 << 40) }
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.rng.random_range(0..words.len())]
    }

    async fn accounts(&mut self, tx: &mut Tx) {
        let admins: Vec<AdminRow> = (1..=FEW)
            .map(|id| AdminRow {
                id,
                username: self.unique(id, 32),
                hashed_password: format!("$2b$12${}", "x".repeat(53)),
                is_sudo: self.chance(),
                enabled: self.chance(),
                all_services_access: self.chance(),
                modify_users_access: self.chance(),
                subscription_url_prefix: self.text(256),
                password_reset_at: self.some(Self::time),
                created_at: self.time(),
            })
            .collect();
        write(tx, &admins).await;
        let services: Vec<ServiceRow> =
            (1..=FEW).map(|id| ServiceRow { id, name: self.some(|it| it.text(64)) }).collect();
        write(tx, &services).await;
        write(tx, &[AdminServiceRow { admin_id: 1, service_id: 2 }, AdminServiceRow { admin_id: 3, service_id: 1 }])
            .await;
        let (mut users, mut traffic, mut fetches, mut services) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for id in 1..=10 * FEW {
            let removed = self.rng.random_range(0..6) == 0;
            let strategy = self.one_of(&["never", "fixed_date", "start_on_first_use"]);
            let created_at = self.time();
            users.push(UserRow {
                id,
                username: (!removed).then(|| self.unique(id, 32)),
                key: if self.is_odd() { format!("{id:070}") } else { format!("{id:032x}") },
                owner_id: self.some(|it| it.rng.random_range(1..=FEW)),
                enabled: self.chance(),
                activated: !removed && self.chance(),
                removed,
                expire_strategy: strategy.to_owned(),
                expire_date: (strategy == "fixed_date").then(|| self.time()),
                usage_duration: (strategy == "start_on_first_use" || self.chance())
                    .then(|| self.rng.random_range(-9..9_000_000)),
                activation_deadline: (strategy == "start_on_first_use").then(|| self.time()),
                note: self.some(|it| it.text(500)),
                created_at,
                edit_at: self.some(Self::time),
                sub_revoked_at: self.some(Self::time),
            });
            traffic.push(TrafficRow {
                user_id: id,
                data_limit: self.some(|it| 1 + it.rng.random_range(0..1 << 40)),
                used_traffic: if self.odd == 0 { 0 } else { self.bytes() },
                lifetime_used_traffic: self.bytes(),
                online_at: self.some(Self::time),
                data_limit_reset_strategy: self.one_of(&["no_reset", "day", "week", "month", "year"]).to_owned(),
                traffic_reset_at: None,
                created_at,
            });
            if self.chance() {
                fetches.push(FetchRow { user_id: id, fetched_at: self.time(), user_agent: self.text(512) });
            }
            services.push(UserServiceRow { user_id: id, service_id: self.rng.random_range(1..=FEW) });
        }
        write(tx, &users).await;
        write(tx, &traffic).await;
        write(tx, &fetches).await;
        write(tx, &services).await;
    }

    async fn nodes(&mut self, tx: &mut Tx) {
        let nodes: Vec<NodeRow> = (1..=FEW)
            .map(|id| NodeRow {
                id,
                name: self.unique(id, 256),
                address: format!("node-{id}.example.com"),
                port: if self.is_odd() { 1 << 40 } else { self.rng.random_range(1..65_536) },
                connection_backend: self.one_of(&["grpcio", "grpclib"]).to_owned(),
                usage_coefficient: f64::from(self.rng.random_range(0..8)) / 4.0,
                status: self.one_of(&["healthy", "unhealthy", "disabled"]).to_owned(),
                message: self.some(|it| it.text(1_024)),
                xray_version: self.some(|it| it.text(32)),
                last_status_change: self.some(Self::time),
                created_at: self.time(),
            })
            .collect();
        write(tx, &nodes).await;
        let backends: Vec<BackendRow> = (1..=FEW)
            .map(|node_id| BackendRow {
                node_id,
                name: self.text(64),
                backend_type: "xray".to_owned(),
                version: self.some(|it| it.text(32)),
                running: self.chance(),
            })
            .collect();
        write(tx, &backends).await;
        let inbounds: Vec<InboundRow> = (1..=FEW)
            .map(|id| InboundRow {
                id,
                node_id: self.rng.random_range(1..=FEW),
                tag: self.unique(id, 256),
                // The last ones are new, or free texts of nodes.
                protocol: if self.is_odd() {
                    self.one_of(&["anytls", "socks"])
                } else {
                    self.one_of(&["vless", "vmess", "hysteria2"])
                }
                .to_owned(),
                config: json!({"tag": self.text(400), "port": 443}).to_string(),
            })
            .collect();
        write(tx, &inbounds).await;
        write(
            tx,
            &[InboundServiceRow { inbound_id: 1, service_id: 2 }, InboundServiceRow { inbound_id: 2, service_id: 1 }],
        )
        .await;
    }

    async fn hosts(&mut self, tx: &mut Tx) {
        let hosts: Vec<HostRow> = (1..=3 * FEW)
            .map(|id| HostRow {
                id,
                inbound_id: self.some(|it| it.rng.random_range(1..=FEW)),
                is_disabled: self.chance(),
                universal: self.chance(),
                weight: if self.is_odd() { i64::MAX } else { self.rng.random_range(0..9) },
                spec: self.spec(),
            })
            .collect();
        write(tx, &hosts).await;
        write(tx, &[HostServiceRow { host_id: 1, service_id: 2 }, HostServiceRow { host_id: 2, service_id: 1 }]).await;
        let chain = |seq, chained_host_id| HostChainRow { host_id: 3, seq, chained_host_id };
        write(tx, &[chain(0, 4), chain(1, 1)]).await;
    }

    fn spec(&mut self) -> HostSpec {
        let spec: HostSpec = serde_json::from_value(json!({
            "remark": self.text(256), "address": self.text(256),
            "fragment": self.some(|_| json!({"packets": "tlshello", "length": "10-20", "interval": "5"})),
            "noise": self.some(|_| json!([{"type": "rand", "packet": "8-16", "delay": "1-2"}])),
            "splithttp_settings": self.some(|_| json!({"mode": "auto", "xmux": {"max_concurrency": "1-2"}})),
            "mux_settings": self.some(|_| json!({"protocol": "h2mux"})),
            "core_settings": if self.is_odd() { json!({"encryption": "none"}) } else { json!(null) },
            "http_headers": self.some(|it| json!({"X-A": it.text(40)})),
            "reality_short_ids": self.some(|_| json!(["ab", ""])),
        }))
        .expect("a host");
        HostSpec {
            uuid: self.some(|_| "5f0c1f3e-6f5c-4f1e-9d2b-3f6f0a8c7b11".to_owned()),
            password: self.some(|it| it.text(128)),
            protocol: self.some(|it| it.text(32)),
            network: self.some(|it| it.text(32)),
            port: self.some(|it| if it.is_odd() { -(1 << 40) } else { 443 }),
            sni: self.some(|it| it.text(1_024)),
            host: self.some(|it| it.text(1_024)),
            path: self.some(|it| it.text(256)),
            security: HostSecurity::ALL[self.rng.random_range(0..HostSecurity::ALL.len())],
            alpn: Alpn::ALL[self.rng.random_range(0..Alpn::ALL.len())],
            fingerprint: Fingerprint::ALL[self.rng.random_range(0..Fingerprint::ALL.len())],
            allowinsecure: self.chance(),
            flow: self.some(|it| it.text(32)),
            ..spec
        }
    }

    async fn hours(&mut self, tx: &mut Tx) {
        let mut users = Vec::new();
        let mut nodes = Vec::new();
        for hour in 0..20 {
            // Deleted nodes and users are 0.
            let (node_id, user_id) = (self.rng.random_range(0..=FEW), self.rng.random_range(0..10 * FEW));
            let counted = self.rng.random_range(1..1 << 40);
            let hour = NOW - hour * HOUR;
            users.push(UserHour { user_id, hour, node_id, counted });
            nodes.push(NodeHourRow { node_id, hour, uplink: 0, downlink: counted, counted });
        }
        write(tx, &nodes).await;
        load_user_hours(tx, futures_util::stream::iter([Ok::<_, StoreError>(users)])).await.expect("hours");
    }

    async fn settings(&mut self, tx: &mut Tx) {
        const PATTERNS: [&str; 8] =
            [".*", "^v2ray", "v2(?i)RAY", "\\p{L}+", "\\p{Greek}", "\\h", "(?<n>x)\\k<n>", "[a-c&&b]"];
        let mut settings = SubscriptionSettings::initial();
        if self.odd > 0 {
            for rule in &mut settings.rules {
                rule.pattern = PATTERNS[self.rng.random_range(0..PATTERNS.len())].to_owned();
            }
        }
        let subscription = serde_json::to_value(settings).expect("JSON");
        write(tx, &[SettingsRow { id: 1, subscription, telegram: None }]).await;
        write(tx, &[JwtRow { id: 1, secret_key: "c0ffee".repeat(10) }]).await;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        write(tx, &[TlsRow { id: 1, key: made.signing_key.serialize_pem(), certificate: made.cert.pem() }]).await;
    }
}

async fn write<R: TableRow>(tx: &mut Tx, rows: &[R]) {
    insert(tx, rows).await.expect("written");
}
