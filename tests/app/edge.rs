//! Edges: real processes without a database, behind real panels. They serve what the panels serve, go on without them, and send
//! them each fetch once.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use sarban::store::Db;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::support::database::{TestDatabase, execute, number, on_both_engines, texts};
use crate::support::proxy::{Proxy, ProxyFault};

on_both_engines! {
    edge_serves_what_panels_serve_and_goes_on_without_them,
    edge_says_why_it_follows_nobody,
}

const KEY: &str = "00000000000000000000000000000001";
const APP: &str = "v2rayNG/1.9.5";
/// Longest wait for anything, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

const ROWS: &str = r#"DELETE FROM nodes;
    INSERT INTO services (id, name) VALUES (1, 'one');
    INSERT INTO users (id, username, key, owner_id, expire_strategy, created_at, note)
        SELECT 1, 'ann', '00000000000000000000000000000001', id, 'never', 0, 'for admins' FROM admins;
    INSERT INTO user_traffic (user_id, created_at, data_limit, used_traffic, lifetime_used_traffic) VALUES (1, 0, 1000, 7, 9);
    INSERT INTO users_services (user_id, service_id) VALUES (1, 1);
    INSERT INTO hosts (universal, spec) VALUES (TRUE, '{"remark": "{USERNAME} {DATA_USAGE}", "address": "a.example",
        "protocol": "trojan", "network": "tcp", "port": 443, "password": "p"}')"#;

/// A panel with one user, on a port that stays the same, and the token of an edge.
struct World<'a> {
    setup: Setup<'a>,
    panel: PanelProcess,
    token: String,
}

impl<'a> World<'a> {
    async fn start(test: &'a TestDatabase, folder: &'a Path) -> Self {
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

    /// An edge that reaches the panel through this port.
    fn edge(&self, name: &str, port: u16, token: &str) -> PanelProcess {
        // Nobody listens on port 1: the next panel is asked.
        let panels = format!("http://127.0.0.1:1,http://127.0.0.1:{port}");
        self.setup.start_edge(name, &panels, token)
    }
}

/// Runs a command of the program; returns what it printed.
fn command(setup: &Setup<'_>, arguments: &[&str]) -> String {
    let mut command = setup.command();
    let ran = command.args(arguments).env("SARBAN_ADMIN_PASSWORD", "rootpass").output().expect("it runs");
    assert!(ran.status.success(), "{arguments:?}: {ran:?}");
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}

/// Repeats a question until the answer is right.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Status, type, traffic and body of an answer.
async fn answer(process: &PanelProcess, path: &str, accept: &str) -> (StatusCode, Vec<Option<String>>, String) {
    let request = process.request(Method::GET, path).header("user-agent", APP).header("accept", accept);
    let response = request.send().await.expect("an answer");
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    let headers = ["content-type", "subscription-userinfo", "etag", "profile-title"].map(header).to_vec();
    (response.status(), headers, response.text().await.expect("a body"))
}

async fn status(process: &PanelProcess, key: &str) -> StatusCode {
    answer(process, &format!("/sub/ann/{key}/links"), "*/*").await.0
}

async fn last_agent(db: &Db) -> Option<String> {
    texts(db, "SELECT user_agent FROM subscription_fetches").await.pop()
}

fn edges(world: &World<'_>) -> Vec<Value> {
    let printed = command(&world.setup, &["edges", "--json"]);
    serde_json::from_str(&printed).expect("JSON")
}

async fn edge_serves_what_panels_serve_and_goes_on_without_them(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::start(&test, folder.path()).await;
    let proxy = Proxy::start(world.panel.port).await.expect("a proxy");
    let mut edge = world.edge("edge", proxy.port, &world.token);
    edge.ready().await;

    // The same answers, but for the admins' note.
    for path in ["/links", "/v2ray", "/xray", "/sing-box", "/clash", "/clash-meta", "/wireguard", "/unknown", ""] {
        let accept = if path.is_empty() { "text/html" } else { "*/*" };
        let path = format!("/sub/ann/{KEY}{path}");
        let (own, other) = (answer(&edge, &path, accept).await, answer(&world.panel, &path, accept).await);
        assert_eq!(own, other, "{path}");
        // There is no WireGuard host, and no such format.
        let is_empty = path.ends_with("wireguard") || path.ends_with("unknown");
        assert!(is_empty || own.0 == 200 && !own.2.is_empty(), "{path}: {own:?}");
    }
    let info = async |process: &PanelProcess| -> Value {
        serde_json::from_str(&answer(process, &format!("/sub/ann/{KEY}/info"), "*/*").await.2).expect("JSON")
    };
    let (mut own, mut other) = (info(&edge).await, info(&world.panel).await);
    assert_eq!((own["note"].take(), other["note"].take()), (Value::Null, json!("for admins")));
    for field in ["sub_updated_at", "sub_last_user_agent"] {
        // Both processes have just served the page.
        assert_ne!((own[field].take(), other[field].take()), (Value::Null, Value::Null), "{field}");
    }
    assert_eq!(own, other);
    for path in ["/api/users", "/dashboard/", "/"] {
        assert_eq!(edge.request(Method::GET, path).send().await.expect("an answer").status(), 404, "{path}");
    }
    for file in ["edge/subscriptions.copy", "edge/subscriptions.copy-wal"] {
        let stored = std::fs::read(folder.path().join(file)).expect("the copy");
        assert!(!stored.windows(10).any(|bytes| bytes == b"for admins"), "the admins' note is in {file}");
    }

    // Changes arrive while nothing but the copy connects the two.
    let new_key = "00000000000000000000000000000002";
    let revoke = format!("UPDATE users SET key = '{new_key}' WHERE id = 1");
    execute(&test.db, &revoke).await;
    until("the revoked link stops", async || status(&edge, KEY).await == 404).await;
    assert_eq!(status(&edge, new_key).await, 200);
    until("the panel lists the edge", async || edges(&world).iter().any(|edge| edge["users"] == 1)).await;
    assert_eq!(edges(&world)[0]["state"], "connected");

    // An answer to a batch that is lost: the batch is sent again, and counts once.
    let fetch = |edge: &PanelProcess, agent: &str| {
        edge.request(Method::GET, &format!("/sub/ann/{new_key}")).header("user-agent", agent.to_owned()).send()
    };
    assert_eq!(fetch(&edge, "before/1").await.expect("an answer").status(), 200);
    until("it arrives", async || last_agent(&test.db).await.as_deref() == Some("before/1")).await;
    until("nothing waits", async || fetches_in(folder.path()).await == 0).await;
    execute(&test.db, "DELETE FROM edge_batch").await;
    proxy.set(ProxyFault::HoldAnswers);
    proxy.cut();
    assert_eq!(fetch(&edge, "lost/1").await.expect("an answer").status(), 200);
    let mut looks = 0;
    until("a batch whose answer is lost arrives", async || {
        looks += 1;
        // A report without the fetch may be under way.
        if looks % 60 == 0 {
            proxy.cut();
        }
        number(&test.db, "SELECT COUNT(*) FROM edge_batch").await == 1
    })
    .await;
    proxy.cut();
    proxy.set(ProxyFault::Clear);
    until("nothing waits", async || fetches_in(folder.path()).await == 0).await;
    assert_eq!(number(&test.db, "SELECT COUNT(*) FROM edge_batch").await, 1, "it was sent again");
    assert_eq!(last_agent(&test.db).await.as_deref(), Some("lost/1"));

    // Without a panel.
    world.panel.kill();
    until("the edge finds out", async || edge.health().await.is_some_and(|health| health["status"] == "degraded"))
        .await;
    assert_eq!((status(&edge, new_key).await, status(&edge, KEY).await), (StatusCode::OK, StatusCode::NOT_FOUND));
    assert_eq!(fetch(&edge, "alone/1").await.expect("an answer").status(), 200);
    // Neither does a restart of the edge change that.
    assert!(edge.stop().await.success());
    let mut edge = world.edge("edge", proxy.port, &world.token);
    until("it serves", async || edge.health().await.is_some_and(|health| health["status"] == "degraded")).await;
    assert_eq!((status(&edge, new_key).await, status(&edge, KEY).await), (StatusCode::OK, StatusCode::NOT_FOUND));
    // What was revoked meanwhile is revoked once a panel is back, and the fetch arrives.
    execute(&test.db, &format!("UPDATE users SET key = '{KEY}' WHERE id = 1")).await;
    let mut panel = world.setup.start_on("panel", world.panel.port, &[]);
    panel.ready().await;
    until("the revoked link stops", async || status(&edge, new_key).await == 404).await;
    until("the fetch arrives", async || last_agent(&test.db).await.as_deref() == Some("alone/1")).await;
    assert!(edge.stop().await.success());
}

/// Number of fetches in the file of the edge.
async fn fetches_in(folder: &Path) -> i64 {
    let url = sarban::config::database_url::DatabaseUrl::Sqlite { path: folder.join("edge/subscriptions.copy") };
    let options = sarban::store::OpenOptions { read_only: true, ..crate::support::database::options(url) };
    let db = Db::open(&options).await.expect("the copy opens");
    let count = number(&db, "SELECT COUNT(*) FROM fetch").await;
    db.close().await;
    count
}

async fn edge_says_why_it_follows_nobody(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::start(&test, folder.path()).await;
    let reader = command(&world.setup, &["token", "create", "-a", "root", "-n", "reader", "-s", "users:read"]);
    let port = world.panel.port;
    let revoked = format!("{}{}", &world.token[..world.token.len() - 4], "0000");
    for (name, panels, token, said) in [
        ("scope", format!("http://127.0.0.1:{port}"), &reader, "lacks the scope edge:read"),
        ("secret", format!("http://127.0.0.1:{port}"), &revoked, "refuses EDGE_TOKEN (401)"),
        ("nobody", "http://127.0.0.1:1".to_owned(), &world.token, "the panel http://127.0.0.1:1 can't be reached"),
        ("path", format!("http://127.0.0.1:{port}/elsewhere"), &world.token, "no panel that edges can follow"),
    ] {
        let edge = world.setup.start_edge(name, &panels, token);
        until(said, async || edge.log().contains(said)).await;
        let health = edge.health().await;
        assert!(health.is_none_or(|health| health["status"] == "unavailable"), "{name}: an empty copy serves nobody");
    }
    let mut command = world.setup.command();
    let ran = command.arg("edge").env("EDGE_TOKEN", "x").output().expect("it runs");
    let error = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(2), "{error}");
    assert!(error.contains("EDGE_TOKEN must be an API token"), "{error}");
}
