//! Two panels under the load of distinct users while their PostgreSQL is stopped: no fetch fails, revoked links stay revoked, and all
//! fetches are in the database afterwards.
//!
//! `SARBAN_TEST_AWAY_SECONDS=600 SARBAN_TEST_USERS=10000 cargo test --test cluster -- app::without_database --nocapture` takes ten
//! minutes and prints what it measured.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use rustix::process::Signal;
use sarban::config::database_url::DatabaseUrl;
use sarban::store::copy::file::CopyFile;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use tokio::time::{Instant, sleep};

use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{call, first_admin};
use crate::support;
use crate::support::servers::{Postgres, open_folder};

/// Longest time until a state that is waited for, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Clients of each panel.
pub const CLIENTS: u64 = 4;
/// Header of subscriptions from the copy.
pub const COPY_AGE: &str = "x-subscription-copy-age";

#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
fn number_of(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

pub fn link(user: u64) -> String {
    format!("/sub/user_{user}/{user:032x}")
}

pub async fn until(state: &str, is_reached: impl AsyncFn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_reached().await {
        assert!(Instant::now() < end, "after {LIMIT:?} not: {state}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The result of the load.
#[derive(Default)]
pub struct Load {
    pub stopping: AtomicBool,
    pub fetches: AtomicU64,
    from_copy: AtomicU64,
    pub failed: std::sync::Mutex<Vec<String>>,
    /// Users whose subscription was fetched.
    users: std::sync::Mutex<HashSet<u64>>,
}

/// Fetches the links of users in turn until it is stopped.
pub async fn fetch_in_turn(load: Arc<Load>, port: u16, first: u64, users: u64) {
    let http = Client::builder().timeout(LIMIT).no_proxy().build().expect("a client");
    for user in (first..).step_by(CLIENTS as usize * 2).map(|user| user % users + 1) {
        if load.stopping.load(Ordering::Relaxed) {
            return;
        }
        let request = http.get(format!("http://127.0.0.1:{port}{}", link(user))).header("user-agent", "v2rayNG/1.9.5");
        let problem = match request.send().await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                if answer.headers().contains_key(COPY_AGE) {
                    load.from_copy.fetch_add(1, Ordering::Relaxed);
                }
                load.users.lock().expect("no panic").insert(user);
                answer.bytes().await.err().map(|error| error.to_string())
            }
            Ok(answer) => Some(format!("{} {}", answer.status(), answer.text().await.unwrap_or_default())),
            Err(error) => Some(format!("{error:?}")),
        };
        load.fetches.fetch_add(1, Ordering::Relaxed);
        if let Some(problem) = problem {
            load.failed.lock().expect("no panic").push(format!("user {user}: {problem}"));
        }
        // As apps do not: the machine is shared with other tests.
        sleep(Duration::from_millis(20)).await;
    }
}

pub async fn status(panel: &PanelProcess, path: &str) -> u16 {
    panel.request(Method::GET, path).send().await.expect("an answer").status().as_u16()
}

/// True if the copy in this folder has another key for a user than the first one.
pub async fn has_new_key(folder: &Path, user: u64) -> bool {
    let file = CopyFile::open(&folder.join("subscriptions.copy")).await.expect("it opens").expect("a copy");
    let users = file.users(&format!("user_{user}")).await.expect("it is read");
    file.close().await;
    users.iter().all(|found| found.key != format!("{user:032x}"))
}

async fn revoke(panel: &PanelProcess, token: &str, user: u64) -> Value {
    call(panel, token, Method::POST, &format!("/api/users/user_{user}/revoke_sub"), Value::Null).await
}

#[test]
fn subscriptions_go_on_without_the_database() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(outage());
}

async fn outage() {
    let users = number_of("SARBAN_TEST_USERS", 300);
    let away = Duration::from_secs(number_of("SARBAN_TEST_AWAY_SECONDS", 4));
    let folder = open_folder().expect("a folder");
    let mut postgres = Postgres::start(support::postgres_bin(), folder.path().join("server")).await.expect("a server");
    let address = format!("postgresql://postgres@127.0.0.1:{}/postgres", postgres.port);
    let database = DatabaseUrl::parse(&address).expect("an address");
    let cluster = format!("test-{}", uuid::Uuid::new_v4().simple());
    let folders = ["a", "b"].map(|name| folder.path().join(name));
    let setups = folders.each_ref().map(|host| {
        std::fs::create_dir(host).expect("a folder");
        Setup { database: &database, redis: None, cluster: cluster.clone(), folder: host, more: Vec::new() }
    });
    let mut panels = [setups[0].start("a"), setups[1].start("b")];
    for panel in &mut panels {
        panel.ready().await;
    }
    let token = first_admin(&setups[0], &panels[0]).await;
    let mut session = PgConnection::connect(&address).await.expect("a session");
    let insert = format!(
        r#"INSERT INTO users (username, key, expire_strategy, created_at)
               SELECT 'user_' || n, lpad(to_hex(n), 32, '0'), 'never', 0 FROM generate_series(1, {users} + 2) AS n;
           INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users;
           INSERT INTO hosts (universal, spec) VALUES (TRUE, '{{"remark": "there", "address": "192.0.2.1", "protocol": "trojan",
               "network": "tcp", "port": 443, "password": "pw", "security": "tls"}}')"#
    );
    raw_sql(AssertSqlSafe(insert)).execute(&mut session).await.expect("users are inserted");
    drop(session);
    // Links of these two are revoked: before the loss, and after the return.
    let [before, after] = [users + 1, users + 2];
    for panel in &panels {
        let is_full = async || panel.counter("subscription_copy_users").await as u64 == users + 2;
        until("all users are in the copies", is_full).await;
    }
    revoke(&panels[0], &token, before).await;
    for host in &folders {
        until("the revocation is in the copies", async || has_new_key(host, before).await).await;
    }

    let load = Arc::new(Load::default());
    let clients = panels.iter().enumerate().flat_map(|(index, panel)| {
        let (load, port) = (load.clone(), panel.port);
        (0..CLIENTS).map(move |client| {
            let first = client * 2 + index as u64;
            tokio::spawn(fetch_in_turn(load.clone(), port, first, users))
        })
    });
    let clients: Vec<_> = clients.collect();
    until("the load runs", async || load.fetches.load(Ordering::Relaxed) > 20).await;

    postgres.stop(Signal::INT).await.expect("it stops");
    let stopped = Instant::now();
    until("subscriptions come from the copies", async || load.from_copy.load(Ordering::Relaxed) > 20).await;
    for panel in &panels {
        assert_eq!(status(panel, &link(before)).await, 404, "the revoked link");
        until("it is not ready", async || status(panel, "/health/ready").await == 503).await;
        assert_eq!(status(panel, "/health/ready?subscriptions=true").await, 200);
        let info = panel.request(Method::GET, &format!("{}/info", link(1))).send().await.expect("an answer");
        assert!(info.headers().contains_key(COPY_AGE), "{info:?}");
        let info: Value = info.json().await.expect("JSON");
        assert_eq!(info["username"], "user_1");
        assert_eq!(status(panel, &format!("{}/sing-box", link(1))).await, 200);
        assert!(panel.counter("subscription_copy_responses_total").await > 0.0);
    }
    sleep(away.saturating_sub(stopped.elapsed())).await;
    assert!(load.failed.lock().expect("no panic").is_empty(), "{:?}", load.failed.lock());
    let everybody = async || load.users.lock().expect("no panic").len() as u64 == users;
    until("everybody's subscription was fetched", everybody).await;

    postgres.restart(Signal::INT).await.expect("it starts");
    for panel in &mut panels {
        panel.ready().await;
    }
    revoke(&panels[0], &token, after).await;
    let revoked = Instant::now();
    for panel in &panels {
        until("the link is revoked", async || status(panel, &link(after)).await == 404).await;
    }
    println!("revoked on both panels after {:?}", revoked.elapsed());
    load.stopping.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no panic");
    }
    let failed = load.failed.lock().expect("no panic").clone();
    assert!(failed.is_empty(), "{} fetches failed: {:?}\n{}", failed.len(), failed.first(), panels[0].log());

    let mut session = PgConnection::connect(&address).await.expect("a session");
    let mut saved = 0;
    let end = Instant::now() + LIMIT;
    while saved < users {
        assert!(Instant::now() < end, "{saved} of {users} fetches were saved\n{}", panels[0].log());
        let counted: i64 =
            query_scalar("SELECT COUNT(*) FROM subscription_fetches").fetch_one(&mut session).await.expect("a number");
        saved = u64::try_from(counted).expect("a number");
        sleep(Duration::from_millis(50)).await;
    }
    let (fetches, from_copy) = (load.fetches.load(Ordering::Relaxed), load.from_copy.load(Ordering::Relaxed));
    println!("{fetches} fetches, {from_copy} of them from the copies; 0 failed; fetches of {saved} users saved");
}
