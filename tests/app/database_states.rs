//! States of a real PostgreSQL in which it refuses sessions or changes: the API answers 503 with `Retry-After` and never
//! 500, the panel is not ready, and it heals without a restart.

use std::future::ready;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use sarban::config::database_url::DatabaseUrl;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::app::clients::{Clients, answer, until_all_are_ready};
use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::first_admin;
use crate::support;
use crate::support::servers::{Postgres, open_folder};

/// Longest time until the health report shows a state: a second between probes, 3 s for an answer, thrice on a busy machine.
const NOTICE: Duration = Duration::from_secs(12);
/// Longest time until a healed panel is ready and answers: the target of 5 s, four times on a busy machine.
const HEALED: Duration = Duration::from_secs(20);

/// The key of the user `ann`.
const KEY: &str = "00000000000000000000000000000001";

/// A server, a panel with a role of its own, and a superuser's session.
struct Site {
    postgres: Postgres,
    panel: [PanelProcess; 1],
    clients: Clients,
    superuser: PgConnection,
    _folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let folder = open_folder().expect("a folder");
        let postgres = Postgres::start(support::postgres_bin(), folder.path().join("server")).await.expect("a server");
        let mut superuser = superuser(&postgres).await;
        run(&mut superuser, "CREATE ROLE panel LOGIN PASSWORD 'first'").await;
        run(&mut superuser, "CREATE DATABASE sarban OWNER panel").await;
        let hba: String = query_scalar("SHOW hba_file").fetch_one(&mut superuser).await.expect("a path");
        let lines = "ARRAY['host all panel 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust']";
        run(&mut superuser, &format!("COPY (SELECT unnest({lines})) TO '{hba}'")).await;
        run(&mut superuser, "SELECT pg_reload_conf()").await;

        let url = format!("postgresql://panel:first@127.0.0.1:{}/sarban", postgres.port);
        let setup = Setup {
            database: &DatabaseUrl::parse(&url).expect("an address"),
            redis: None,
            cluster: format!("test-{}", uuid::Uuid::new_v4().simple()),
            folder: folder.path(),
            // All operations are sent at once by one admin, who gets a quarter.
            // Without a copy, subscriptions are refused like everything else.
            more: vec![("MAX_REQUESTS_AT_ONCE", "400".to_owned()), ("SUBSCRIPTION_COPY_MAX_AGE_HOURS", "0".to_owned())],
        };
        let mut panel = setup.start("ann");
        panel.ready().await;
        let clients = Clients::new(first_admin(&setup, &panel).await);
        let ann = json!({"username": "ann", "expire_strategy": "never", "key": KEY});
        assert!(answer(clients.request(&panel, Method::POST, "/api/users").json(&ann)).await.is_success());
        Self { postgres, panel: [panel], clients, superuser, _folder: folder }
    }

    async fn run(&mut self, sql: &str) {
        run(&mut self.superuser, sql).await;
    }

    /// Ends all sessions of the panel, so that the next ones begin in the state that was set.
    async fn end_sessions(&mut self) {
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'panel'").await;
    }

    /// Waits until the health report has this state and this reason.
    async fn wait_for_report(&self, status: &str, reason: &str) {
        self.is_reported_within(NOTICE, status, reason)
            .await
            .unwrap_or_else(|other| self.is_not(status, reason, &other));
    }

    /// The same for sessions that are ended: one that is just beginning is not found by the first attempt, and goes on.
    async fn end_sessions_until(&mut self, status: &str, reason: &str) {
        let began = Instant::now();
        loop {
            self.end_sessions().await;
            let Err(other) = self.is_reported_within(Duration::from_secs(3), status, reason).await else { return };
            if began.elapsed() > NOTICE {
                self.is_not(status, reason, &other);
            }
        }
    }

    /// Returns another health report if this one does not come within this time.
    async fn is_reported_within(&self, time: Duration, status: &str, reason: &str) -> Result<(), Value> {
        let began = Instant::now();
        loop {
            match self.reports(status, reason).await {
                Err(_) if began.elapsed() < time => sleep(Duration::from_millis(50)).await,
                result => return result,
            }
        }
    }

    fn is_not(&self, status: &str, reason: &str, other: &Value) -> ! {
        panic!("not {status}, {reason}: {other}\n{}", self.panel[0].log());
    }

    /// Returns the health report if it has another state or another reason.
    async fn reports(&self, status: &str, reason: &str) -> Result<(), Value> {
        let health = self.panel[0].health().await.expect("health is answered");
        if health["status"] == status && health["database_reason"] == reason { Ok(()) } else { Err(health) }
    }

    /// Sends every operation of the API, so many at once; returns those that were not refused with 503 and `Retry-After`.
    async fn not_refused(&self, at_once: usize) -> Vec<(u16, Method, String)> {
        // For a second a panel remembers who has signed in.
        sleep(Duration::from_millis(1_200)).await;
        let operations = operations();
        assert!(operations.len() > 50, "{operations:?}");
        let answers = stream::iter(operations).map(async |(method, path)| {
            let mut request = self.clients.request(&self.panel[0], method.clone(), &path);
            request = match (&method, path.as_str()) {
                (_, "/api/admins/token") => request.form(&[("username", "root"), ("password", "rootpass")]),
                (&Method::GET, _) => request,
                _ => request.json(&body(&path)),
            };
            let answer = request.send().await.expect("an answer");
            let (status, may_retry) = (answer.status(), answer.headers().contains_key("retry-after"));
            let text = answer.text().await.expect("a text");
            let is_refused = status == StatusCode::SERVICE_UNAVAILABLE && may_retry;
            assert!(is_refused || !status.is_server_error(), "{method} {path}: {status} {may_retry} {text}");
            (!is_refused).then(|| (status.as_u16(), method, path))
        });
        answers.buffer_unordered(at_once).filter_map(ready).collect().await
    }

    /// Checks that reads are served, and that no change is.
    async fn refuses_changes_only(&self) {
        let is_get = |method: &Method| *method == Method::GET;
        let reads = operations().iter().filter(|(method, _)| is_get(method)).count();
        let count = |served: &[(u16, Method, String)]| served.iter().filter(|(_, method, _)| is_get(method)).count();
        let mut served = self.not_refused(8).await;
        for _ in 0..3 {
            // Some may wait too long for a connection while the machine is busy.
            if count(&served) < reads {
                served = self.not_refused(8).await;
            }
        }
        assert_eq!(count(&served), reads, "{served:?}");
        for (status, method, path) in served {
            // Other changes were refused before they reached the database.
            let is_read = method == Method::GET || READS.contains(&path.as_str());
            assert!(is_read || (400..500).contains(&status), "{status} {method} {path}");
        }
    }

    /// Checks that the panel is ready again, reads and writes.
    async fn heals(&mut self, what: &str) {
        let began = Instant::now();
        let ready = until_all_are_ready(&self.panel, HEALED).await;
        self.clients.first_right_answers(&self.panel, "ann", HEALED).await;
        println!("{what}: ready {ready:?}, first right answers {:?} after healing", began.elapsed());
    }
}

async fn superuser(postgres: &Postgres) -> PgConnection {
    let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", postgres.port);
    let began = Instant::now();
    loop {
        match PgConnection::connect(&url).await {
            Ok(session) => return session,
            // The port is open before the server is.
            Err(error) => assert!(began.elapsed() < HEALED, "{error}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn run(session: &mut PgConnection, sql: &str) {
    let done = raw_sql(AssertSqlSafe(sql.to_owned())).execute(session).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The operations of the API that use the database, from the committed document, with their parameters filled in.
fn operations() -> Vec<(Method, String)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let document: Value = serde_json::from_slice(&std::fs::read(path).expect("the document")).expect("JSON");
    let mut operations = vec![];
    for (path, methods) in document["paths"].as_object().expect("paths") {
        // A node may listen on the address that a new panel's first node has. The stream of events does not end.
        let is_left_out = ["{backend}", "repin", "resync", "/api/events"].iter().any(|part| path.contains(part));
        if is_left_out || !path.starts_with("/api/") && !path.starts_with("/sub/") {
            continue;
        }
        let filled = [
            ("{username}", "ann"),
            ("{key}", KEY),
            ("{client_type}", "links"),
            ("{id}", "1"),
            ("{node_id}", "1"),
            ("{name}", "review_users"),
        ]
        .iter()
        .fold(path.clone(), |path, (name, value)| path.replace(name, value));
        for method in methods.as_object().expect("operations").keys() {
            if let Ok(method) = method.to_uppercase().parse() {
                operations.push((method, filled.clone()));
            }
        }
    }
    operations
}

/// Operations that read, though their method is POST. The offer has nothing to take here.
const READS: &[&str] = &[
    "/api/admins/token",
    "/api/inbounds/hosts/preview",
    "/api/system/settings/subscription/offer",
    "/api/system/settings/subscription/test",
];

/// A good body for the most used operations.
fn body(path: &str) -> Value {
    match path {
        "/api/users" => json!({"username": "ben", "expire_strategy": "never"}),
        "/api/users/ann" => json!({"username": "ann", "note": "in between"}),
        "/api/services" => json!({"name": "one", "inbound_ids": []}),
        "/api/services/1" => json!({"name": "two"}),
        "/api/admins" => json!({"username": "eve", "password": "evepass1", "is_sudo": false}),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_refuses_sessions_is_503_and_heals() {
    let mut site = Site::start().await;

    site.run("ALTER ROLE panel PASSWORD 'second'").await;
    site.end_sessions_until("unavailable", "the database refuses access").await;
    assert_eq!(site.not_refused(64).await, []);
    site.run("ALTER ROLE panel PASSWORD 'first'").await;
    site.heals("password").await;

    let mut taken = vec![];
    let url = format!("postgresql://postgres@127.0.0.1:{}/postgres", site.postgres.port);
    let began = Instant::now();
    loop {
        // The panel takes a place as soon as its session is ended, unless another client is faster.
        site.end_sessions().await;
        while let Ok(session) = PgConnection::connect(&url).await {
            taken.push(session);
        }
        let left = "SELECT COUNT(*) FROM pg_stat_activity WHERE usename = 'panel'";
        let left: i64 = query_scalar(left).fetch_one(&mut site.superuser).await.expect("a number");
        // A session that is just beginning isn't counted, but has a place: the report knows.
        if left == 0 && site.reports("unavailable", "the database has no free connection").await.is_ok() {
            break;
        }
        assert!(began.elapsed() < NOTICE, "the panel has {left} sessions");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(site.not_refused(64).await, []);
    drop(taken);
    site.heals("connections").await;

    // A smart shutdown: the server waits for the superuser's session and takes no more.
    site.postgres.signal(Signal::TERM);
    while PgConnection::connect(&url).await.is_ok() {
        sleep(Duration::from_millis(50)).await;
    }
    site.end_sessions_until("unavailable", "the database is starting or stopping").await;
    assert_eq!(site.not_refused(64).await, []);
    site.postgres.stop(Signal::INT).await.expect("stopped");
    site.wait_for_report("unavailable", "the database is unreachable").await;
    assert_eq!(site.not_refused(64).await, []);
    site.postgres.restart(Signal::INT).await.expect("started");
    site.heals("restart").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_server_is_503_for_changes_and_heals() {
    let mut site = Site::start().await;
    site.run("SET default_transaction_read_only = off").await;

    site.run("ALTER DATABASE sarban SET default_transaction_read_only = on").await;
    site.end_sessions_until("unavailable", "the database is read-only").await;
    site.refuses_changes_only().await;
    site.run("ALTER DATABASE sarban RESET default_transaction_read_only").await;
    site.heals("read-only database").await;

    site.run("ALTER SYSTEM SET default_transaction_read_only = on").await;
    site.run("SELECT pg_reload_conf()").await;
    site.wait_for_report("unavailable", "the database is read-only").await;
    site.refuses_changes_only().await;
    site.run("ALTER SYSTEM RESET default_transaction_read_only").await;
    site.run("SELECT pg_reload_conf()").await;
    site.heals("read-only server").await;
}
