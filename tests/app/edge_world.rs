//! What tests of edges share: a panel with a user and a host, the token of an edge, and what they ask.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sarban::config::database_url::DatabaseUrl;
use sarban::store::{Db, OpenOptions};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::support::database::{TestDatabase, execute, number, options, texts};

/// Key of the first user.
pub const KEY: &str = "00000000000000000000000000000001";
/// Another key.
pub const OTHER_KEY: &str = "0000000000000000000000000000abcd";
pub const APP: &str = "v2rayNG/1.9.5";
/// Longest wait for anything, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

const ROWS: &str = r#"DELETE FROM nodes;
    INSERT INTO services (id, name) VALUES (1, 'one');
    INSERT INTO users (id, username, key, owner_id, expire_strategy, created_at, note)
        SELECT 1, 'ann', '00000000000000000000000000000001', id, 'never', 0, 'for admins' FROM admins;
    INSERT INTO user_traffic (user_id, created_at, data_limit, used_traffic, lifetime_used_traffic) VALUES (1, 0, 1000, 7, 9);
    INSERT INTO users_services (user_id, service_id) VALUES (1, 1);
    INSERT INTO hosts (universal, spec) VALUES (TRUE, '{"remark": "{USERNAME} {DATA_USAGE}", "address": "a.example",
        "protocol": "trojan", "network": "tcp", "port": 443, "password": "p"}')"#;

/// A panel with one user, on a port that stays the same, and the token of an edge.
pub struct World<'a> {
    pub setup: Setup<'a>,
    pub panel: PanelProcess,
    pub token: String,
}

impl<'a> World<'a> {
    pub async fn start(test: &'a TestDatabase, folder: &'a Path) -> Self {
        let cluster = format!("test-{}", Uuid::new_v4().simple());
        let more = vec![("SUBSCRIPTION_URL_PREFIX", "https://sub.example".to_owned())];
        let setup = Setup { database: &test.options.url, redis: None, cluster, folder, more };
        command(&setup, &["admin", "create", "-u", "root", "--sudo"]);
        execute(&test.db, ROWS).await;
        let token = command(&setup, &["token", "create", "-a", "root", "-n", "edge", "-s", "edge:*"]);
        let mut panel = setup.start("panel");
        panel.ready().await;
        Self { setup, panel, token }
    }

    /// An edge that reaches panels through these ports, asked in this order.
    pub fn edge(&self, name: &str, ports: &[u16]) -> PanelProcess {
        let panels: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        self.setup.start_edge(name, &panels.join(","), &self.token)
    }

    /// Starts the panel again after it was killed, on its port.
    pub async fn restart_panel(&mut self) {
        self.panel = self.setup.start_on("panel", self.panel.port, &[]);
        self.panel.ready().await;
    }
}

/// Runs a command of the program; returns what it printed.
pub fn command(setup: &Setup<'_>, arguments: &[&str]) -> String {
    let mut command = setup.command();
    let ran = command.args(arguments).env("SARBAN_ADMIN_PASSWORD", "rootpass").output().expect("it runs");
    assert!(ran.status.success(), "{arguments:?}: {ran:?}");
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}

/// Repeats a question until the answer is right.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Status, type, traffic and body of an answer.
pub async fn answer(process: &PanelProcess, path: &str, accept: &str) -> (StatusCode, Vec<Option<String>>, String) {
    let request = process.request(Method::GET, path).header("user-agent", APP).header("accept", accept);
    let response = request.send().await.expect("an answer");
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    let headers = ["content-type", "subscription-userinfo", "etag", "profile-title"].map(header).to_vec();
    (response.status(), headers, response.text().await.expect("a body"))
}

/// Status of the first user's link with this key.
pub async fn status(process: &PanelProcess, key: &str) -> StatusCode {
    answer(process, &format!("/sub/ann/{key}/links"), "*/*").await.0
}

/// Gives the first user this key.
pub async fn set_key(db: &Db, key: &str) {
    execute(db, &format!("UPDATE users SET key = '{key}' WHERE id = 1")).await;
}

/// True if the health of an edge has this status, and this in its reason.
pub async fn is_in(edge: &PanelProcess, status: &str, reason: &str) -> bool {
    let Some(health) = edge.health().await else { return false };
    health["status"] == status && health["copy_reason"].as_str().unwrap_or_default().contains(reason)
}

pub async fn last_agent(db: &Db) -> Option<String> {
    texts(db, "SELECT user_agent FROM subscription_fetches").await.pop()
}

/// Number of fetches in the file of an edge.
pub async fn fetches_in(folder: &Path, edge: &str) -> i64 {
    let url = DatabaseUrl::Sqlite { path: folder.join(edge).join("subscriptions.copy") };
    let options = OpenOptions { read_only: true, ..options(url) };
    let db = Db::open(&options).await.expect("the copy opens");
    let count = number(&db, "SELECT COUNT(*) FROM fetch").await;
    db.close().await;
    count
}
