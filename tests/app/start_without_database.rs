//! A panel that starts while PostgreSQL is away, as after the reboot of a host: with a complete copy it serves subscriptions and
//! becomes a whole panel when PostgreSQL is back; without one, or if waiting would not help, it ends with an error.

use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use sarban::config::database_url::DatabaseUrl;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, query_scalar, raw_sql};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::without_database::{COPY_AGE, LIMIT, Load, fetch_in_turn, has_new_key, link, status, until};
use crate::app::panel_process::{PanelProcess, Setup};
use crate::app::processes::{call, first_admin};
use crate::support;
use crate::support::servers::{Postgres, open_folder};

/// Users whose links are fetched, one more whose link is revoked, and those of two fetches while there is no database: one before a
/// restart of the panel, and one just before the database is back.
const USERS: u64 = 20;
const REVOKED: u64 = USERS + 1;
const EARLY: u64 = USERS + 2;
const LATE: u64 = USERS + 3;

/// A panel with a complete copy whose server is stopped; the copy knows that a link was revoked.
struct World<'a> {
    postgres: Postgres,
    setup: Setup<'a>,
    panel: PanelProcess,
    token: String,
}

async fn postgres(folder: &Path) -> (Postgres, DatabaseUrl) {
    let postgres = Postgres::start(support::postgres_bin(), folder.join("server")).await.expect("a server");
    let database = DatabaseUrl::parse(&address(&postgres)).expect("an address");
    (postgres, database)
}

fn address(postgres: &Postgres) -> String {
    format!("postgresql://postgres@127.0.0.1:{}/postgres", postgres.port)
}

fn setup<'a>(database: &'a DatabaseUrl, folder: &'a Path) -> Setup<'a> {
    let cluster = format!("test-{}", uuid::Uuid::new_v4().simple());
    Setup { database, redis: None, cluster, folder, more: Vec::new() }
}

impl<'a> World<'a> {
    async fn start(mut postgres: Postgres, database: &'a DatabaseUrl, folder: &'a Path) -> Self {
        let setup = setup(database, folder);
        let mut panel = setup.start("panel");
        panel.ready().await;
        let token = first_admin(&setup, &panel).await;
        let mut session = PgConnection::connect(&address(&postgres)).await.expect("a session");
        let insert = format!(
            r#"INSERT INTO users (username, key, expire_strategy, created_at)
                   SELECT 'user_' || n, lpad(to_hex(n), 32, '0'), 'never', 0 FROM generate_series(1, {LATE}) AS n;
               INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users;
               INSERT INTO hosts (universal, spec) VALUES (TRUE, '{{"remark": "there", "address": "192.0.2.1", "protocol": "trojan",
                   "network": "tcp", "port": 443, "password": "pw", "security": "tls"}}')"#
        );
        raw_sql(AssertSqlSafe(insert)).execute(&mut session).await.expect("users are inserted");
        session.close().await.expect("closed");
        let is_full = async || panel.counter("subscription_copy_users").await as u64 == LATE;
        until("all users are in the copy", is_full).await;
        call(&panel, &token, Method::POST, &format!("/api/users/user_{REVOKED}/revoke_sub"), Value::Null).await;
        until("the revocation is in the copy", async || has_new_key(folder, REVOKED).await).await;
        postgres.stop(Signal::INT).await.expect("it stops");
        panel.kill();
        Self { postgres, setup, panel, token }
    }

    /// Starts the panel again, and waits until it serves.
    async fn start_again(&mut self) {
        self.panel = self.setup.start_on("panel", self.panel.port, &[]);
        let serves = async || {
            let answer = self.panel.request(Method::GET, &link(1)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200 && answer.headers().contains_key(COPY_AGE))
        };
        until("subscriptions are served from the copy", serves).await;
    }
}

/// Waits until the process ends by itself.
async fn end_of(panel: &mut PanelProcess) -> ExitStatus {
    let ended = timeout(LIMIT, panel.ended()).await;
    ended.unwrap_or_else(|_| panic!("{} waits for the database, and should have ended:\n{}", panel.name, panel.log()))
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn panel_that_starts_without_its_database_serves_its_copy_and_becomes_whole() {
    run(async {
        let folder = open_folder().expect("a folder");
        let (postgres, database) = postgres(folder.path()).await;
        let mut world = World::start(postgres, &database, folder.path()).await;
        world.start_again().await;

        let panel = &world.panel;
        assert_eq!(status(panel, &link(REVOKED)).await, 404, "the revoked link");
        assert_eq!(status(panel, &format!("{}/sing-box", link(2))).await, 200);
        let health = panel.health().await.expect("an answer");
        assert_eq!((&health["status"], &health["database"]), (&"unavailable".into(), &"down".into()), "{health}");
        assert!(
            health["database_reason"].as_str().is_some_and(|reason| reason.contains("the start waits")),
            "{health}"
        );
        for (path, expected) in [
            ("/health/live", 200),
            ("/health/ready", 503),
            ("/health/ready?subscriptions=true", 200),
            ("/metrics", 200),
            ("/api/users", 503),
            ("/dashboard/", 503),
            ("/", 503),
        ] {
            assert_eq!(status(panel, path).await, expected, "{path}");
        }
        let usage = panel.request(Method::GET, &format!("{}/usage", link(1))).send().await.expect("an answer");
        assert_eq!((usage.status().as_u16(), usage.headers().contains_key("retry-after")), (503, true));
        assert!(usage.text().await.expect("a text").contains("waits for the database"));
        assert!(panel.log().contains("the start waits for it"), "{}", panel.log());

        // A signal ends the wait in order, and the fetch is kept.
        assert_eq!(status(panel, &link(EARLY)).await, 200);
        let waited = Instant::now();
        assert!(world.panel.stop().await.success(), "{}", world.panel.log());
        assert!(waited.elapsed() < LIMIT);
        world.start_again().await;

        let load = Arc::new(Load::default());
        let clients: Vec<_> =
            (0..4).map(|client| tokio::spawn(fetch_in_turn(load.clone(), world.panel.port, client, USERS))).collect();
        until("the load runs", async || load.fetches.load(Ordering::Relaxed) > 20).await;
        assert_eq!(status(&world.panel, &link(LATE)).await, 200);
        world.postgres.restart(Signal::INT).await.expect("it starts");
        world.panel.ready().await;
        let leads = async || world.panel.health().await.is_some_and(|health| health["scheduler"] == "leader");
        until("its tasks run", leads).await;
        call(&world.panel, &world.token, Method::POST, "/api/users/user_1/revoke_sub", Value::Null).await;
        until("the link is revoked", async || status(&world.panel, &link(1)).await == 404).await;
        let before = load.fetches.load(Ordering::Relaxed);
        until("the load goes on", async || load.fetches.load(Ordering::Relaxed) > before + 20).await;
        load.stopping.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("no panic");
        }
        let failed = load.failed.lock().expect("no panic").clone();
        let failed: Vec<&String> = failed.iter().filter(|problem| !problem.starts_with("user 1: 404")).collect();
        assert!(failed.is_empty(), "{failed:?}\n{}", world.panel.log());
        assert!(world.panel.log().contains("the database answers; the start goes on"), "{}", world.panel.log());

        let mut session = PgConnection::connect(&address(&world.postgres)).await.expect("a session");
        let end = Instant::now() + LIMIT;
        loop {
            let saved: i64 = query_scalar("SELECT COUNT(*) FROM subscription_fetches")
                .fetch_one(&mut session)
                .await
                .expect("a number");
            if saved == i64::try_from(USERS + 2).expect("a number") {
                break;
            }
            assert!(Instant::now() < end, "{saved} fetches were saved\n{}", world.panel.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(world.panel.stop().await.success());
    });
}

/// A service manager kills what takes longer. A client that never sends all of its request, and another process that writes to the copy
/// for long, take all the time that they get.
#[test]
fn panel_that_waits_for_its_database_ends_within_its_grace() {
    run(async {
        let folder = open_folder().expect("a folder");
        let (postgres, database) = postgres(folder.path()).await;
        let mut world = World::start(postgres, &database, folder.path()).await;
        world.setup.more.push(("SHUTDOWN_GRACE_SECONDS", "4".to_owned()));
        world.start_again().await;
        let copy = SqliteConnectOptions::new().filename(folder.path().join("subscriptions.copy"));
        let mut writer = SqliteConnection::connect_with(&copy.busy_timeout(LIMIT)).await.expect("the copy opens");
        raw_sql("BEGIN IMMEDIATE").execute(&mut writer).await.expect("it writes");
        let mut client = TcpStream::connect(("127.0.0.1", world.panel.port)).await.expect("a connection");
        client.write_all(b"GET /sub/ann HTTP/1.1\r\nhost: x\r\n").await.expect("sent");
        // On another connection, after which the panel has seen the first one. This fetch can't be stored.
        assert_eq!(status(&world.panel, &link(EARLY)).await, 200);
        let began = Instant::now();
        assert!(world.panel.stop().await.success(), "{}", world.panel.log());
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(2), "{took:?}: the client was not waited for");
        // With two writes besides the grace it was eight seconds.
        assert!(took < Duration::from_millis(7_500), "{took:?}\n{}", world.panel.log());
    });
}

#[test]
fn start_without_a_copy_or_with_an_error_that_does_not_pass_ends_at_once() {
    run(async {
        let folder = open_folder().expect("a folder");
        let (postgres, database) = postgres(folder.path()).await;
        let mut world = World::start(postgres, &database, folder.path()).await;

        // Away, and no copy.
        let empty = open_folder().expect("a folder");
        let mut panel = setup(&database, empty.path()).start("empty");
        let ended = end_of(&mut panel).await;
        let log = panel.log();
        assert!(
            !ended.success() && log.contains("could not open the database") && !log.contains("the start waits"),
            "{log}"
        );

        // With a copy, and an answer that does not change by itself.
        world.postgres.restart(Signal::INT).await.expect("it starts");
        for (name, of, said) in [
            ("missing", "postgres@127.0.0.1:PORT/missing", "does not exist"),
            ("refused", "nobody@127.0.0.1:PORT/postgres", "does not exist"),
        ] {
            let url = format!("postgresql://{}", of.replace("PORT", &world.postgres.port.to_string()));
            let database = DatabaseUrl::parse(&url).expect("an address");
            let mut panel = setup(&database, folder.path()).start(name);
            let ended = end_of(&mut panel).await;
            let log = panel.log();
            assert!(!ended.success() && log.contains(said) && !log.contains("the start waits"), "{name}: {log}");
        }
    });
}
