//! The supported kinds of Redis, each with a real panel and real servers: with a password, with TLS, behind Sentinels
//! and as a Redis Cluster. A fail-over does not cost the leader its lease.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use sarban::store::Engine;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::app::panel_process::{PanelProcess, Setup};
use crate::support::database::{Content, TestDatabase, number, with_database};
use crate::support::ports::free_port;
use crate::support::servers::{Redis, Sentinels};

/// Starts a panel on this Redis and waits until it leads. SQLite is enough, since only Redis is under test.
pub async fn panel(
    test: &TestDatabase,
    folder: &Path,
    url: String,
    mut more: Vec<(&'static str, String)>,
) -> PanelProcess {
    // On a busy machine the default is too short for a handshake.
    more.push(("REDIS_TIMEOUT_SECONDS", "5".to_owned()));
    let cluster = format!("test-{}", Uuid::new_v4().simple());
    let setup = Setup { database: &test.options.url, redis: Some(url), cluster, folder, more };
    let mut panel = setup.start("ann");
    panel.ready().await;
    health_is(&panel, "redis", "ok").await;
    health_is(&panel, "scheduler", "leader").await;
    panel
}

/// Signs in with a wrong password, which the pool's connections count in Redis.
pub async fn sign_in_wrongly(panel: &PanelProcess) {
    let form = [("username", "nobody"), ("password", "wrong")];
    let answer = panel.request(Method::POST, "/api/admins/token").form(&form).send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
}

/// Number of failed attempts that Redis has counted for the user name of [`sign_in_wrongly`].
fn counted(port: u16, more: &[&str]) -> usize {
    let count = |key| cli(port, &[more, &["GET", key][..]].concat()).parse::<usize>().expect("a number");
    attempts(port, more).lines().map(count).sum()
}

/// The keys of these attempts.
fn attempts(port: u16, more: &[&str]) -> String {
    cli(port, &[more, &["--scan", "--pattern", "*:limits}:password:local:*"][..]].concat())
}

async fn health_is(panel: &PanelProcess, part: &str, expected: &str) {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        let health = panel.health().await;
        if health.as_ref().is_some_and(|health| health[part] == expected) {
            return;
        }
        assert!(Instant::now() < limit, "{part} is not {expected}: {health:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The output of `redis-cli`.
pub fn cli(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(arguments).output().expect("redis-cli");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits until Redis has this number of keys of the cluster: one for the lock, two for the members.
pub async fn keys_are(port: u16, more: &[&str], expected: usize) {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let keys = cli(port, &[more, &["KEYS", "*"][..]].concat());
        if keys.lines().filter(|key| key.contains(":scheduler}:")).count() == expected {
            return;
        }
        assert!(Instant::now() < limit, "not {expected} keys: {keys}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn panel_with_a_redis_password_leads_and_counts() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let redis = Redis::start_with(folder.path().join("redis"), None, port, &["--requirepass", "s3cr%t"]).await;
        let _redis = redis.expect("a Redis");
        let mut panel = panel(&test, folder.path(), format!("redis://:s3cr%25t@127.0.0.1:{port}/1"), vec![]).await;
        keys_are(port, &["-a", "s3cr%t", "-n", "1"], 3).await;
        sign_in_wrongly(&panel).await;
        assert_eq!(counted(port, &["-a", "s3cr%t", "-n", "1"]), 1);
        assert!(panel.stop().await.success());
        // The lock is released, and the panel has left the member list.
        keys_are(port, &["-a", "s3cr%t", "-n", "1"], 0).await;
    });
}

#[test]
fn panel_with_redis_on_a_socket_leads_and_counts() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let socket = folder.path().join("redis.sock").display().to_string();
        let more = ["--unixsocket", &socket, "--requirepass", "s3cr%t"];
        let _redis = Redis::start_with(folder.path().join("redis"), None, port, &more).await.expect("a Redis");
        let mut panel = panel(&test, folder.path(), format!("unix://:s3cr%25t@{socket}?db=1"), vec![]).await;
        keys_are(port, &["-a", "s3cr%t", "-n", "1"], 3).await;
        sign_in_wrongly(&panel).await;
        assert_eq!(counted(port, &["-a", "s3cr%t", "-n", "1"]), 1);
        assert!(panel.stop().await.success());
    });
}

#[test]
fn panel_with_redis_over_tls_leads_and_counts() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name").self_signed(&key);
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let certificate = file("redis.pem", certificate.expect("a certificate").pem());
        let key = file("redis.key", key.serialize_pem());
        let (plain, tls) = (free_port(), free_port());
        let more = [
            "--tls-port",
            &tls.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &certificate,
            "--tls-auth-clients",
            "no",
        ];
        let _redis = Redis::start_with(folder.path().join("redis"), None, plain, &more).await.expect("a Redis");
        let url = format!("rediss://localhost:{tls}");
        for (url, more) in [
            (url.clone(), vec![("SSL_CERT_FILE", certificate.clone())]),
            (url.clone(), vec![("REDIS_CA_FILE", certificate.clone())]),
            (format!("{url}?ssl_ca_certs={certificate}&ssl_cert_reqs=required"), vec![]),
        ] {
            let mut panel = panel(&test, folder.path(), url, more).await;
            keys_are(plain, &[], 3).await;
            sign_in_wrongly(&panel).await;
            assert_eq!(counted(plain, &[]), 1);
            assert!(panel.stop().await.success());
            keys_are(plain, &[], 0).await;
            cli(plain, &["FLUSHALL"]);
        }
    });
}

#[test]
fn panel_on_a_redis_cluster_leads_and_counts() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut nodes = Vec::new();
        for number in 0..3 {
            // A node also listens on its port + 10000.
            let port = 16_000 + free_port() % 6_000;
            let home = folder.path().join(format!("node-{number}"));
            nodes.push(Redis::start_with(home, None, port, &["--cluster-enabled", "yes"]).await.expect("a node"));
        }
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let made = cli(nodes[0].port, &[&["--cluster", "create"][..], &addresses, &["--cluster-yes"]].concat());
        let limit = Instant::now() + Duration::from_secs(20);
        while !nodes.iter().all(|node| cli(node.port, &["CLUSTER", "INFO"]).contains("cluster_state:ok")) {
            assert!(Instant::now() < limit, "no cluster: {made}");
            sleep(Duration::from_millis(50)).await;
        }
        let more = vec![("REDIS_CLUSTER", "true".to_owned())];
        let mut panel = panel(&test, folder.path(), format!("redis://{},{}", addresses[0], addresses[1]), more).await;
        let keys = |port| cli(port, &["KEYS", "*"]).lines().filter(|key| key.contains(":scheduler}:")).count();
        let per_node: Vec<usize> = nodes.iter().map(|node| keys(node.port)).collect();
        assert_eq!(per_node.iter().sum::<usize>(), 3, "{per_node:?}");
        assert_eq!(per_node.iter().max(), Some(&3), "the keys are not in one slot: {per_node:?}");
        sign_in_wrongly(&panel).await;
        assert_eq!(nodes.iter().map(|node| counted(node.port, &[])).sum::<usize>(), 1);
        assert!(panel.stop().await.success());
    });
}

#[test]
fn leader_behind_sentinels_keeps_its_lease_in_a_fail_over() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut master = Redis::start(folder.path().join("master"), None).await.expect("a master");
        let replica = Redis::start(folder.path().join("replica"), Some(master.port)).await.expect("a replica");
        let limit = Instant::now() + Duration::from_secs(20);
        while !cli(replica.port, &["INFO", "replication"]).contains("master_link_status:up") {
            assert!(Instant::now() < limit, "the replica is not connected");
            sleep(Duration::from_millis(50)).await;
        }
        let sentinels = Sentinels::start(folder.path(), master.port).await.expect("Sentinels");
        let hosts: Vec<String> = sentinels.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let url = format!("redis+sentinel://{}/main/0", hosts.join(","));
        let mut panel = panel(&test, folder.path(), url, vec![]).await;
        keys_are(master.port, &[], 3).await;
        sign_in_wrongly(&panel).await;
        // No fail-over is possible before the Sentinels have found the replica.
        let limit = Instant::now() + Duration::from_secs(30);
        while !cli(sentinels.ports[0], &["SENTINEL", "replicas", "main"]).contains(&replica.port.to_string()) {
            assert!(Instant::now() < limit, "the Sentinels have not found the replica");
            sleep(Duration::from_millis(100)).await;
        }

        master.kill();
        health_is(&panel, "redis", "down").await;
        let limit = Instant::now() + Duration::from_secs(30);
        while sentinels.master().await.expect("a Sentinel answers") != replica.port {
            assert!(Instant::now() < limit, "no fail-over");
            sleep(Duration::from_millis(100)).await;
        }
        health_is(&panel, "redis", "ok").await;
        keys_are(replica.port, &[], 3).await;
        // The attempt on the former master counts for a minute, which may end at any moment.
        for key in attempts(replica.port, &[]).lines() {
            cli(replica.port, &["DEL", key]);
        }
        sign_in_wrongly(&panel).await;
        assert_eq!(counted(replica.port, &[]), 1, "the attempt is counted on the new master");

        assert_eq!(
            number(&test.db, "SELECT epoch FROM scheduler_epoch WHERE id = 1").await,
            1,
            "there was more than one term"
        );
        assert!(panel.stop().await.success());
    });
}

/// A server that becomes a replica refuses to write. The panel then drops the connection and connects to the current
/// master.
#[test]
fn connection_to_a_server_that_became_a_replica_is_dropped() {
    with_database(Engine::Sqlite, Content::Empty, async |test| {
        let folder = tempfile::tempdir().expect("a folder");
        let redis = Redis::start(folder.path().join("redis"), None).await.expect("a Redis");
        let other = Redis::start(folder.path().join("other"), None).await.expect("another");
        let mut panel = panel(&test, folder.path(), format!("redis://127.0.0.1:{}", redis.port), vec![]).await;
        keys_are(redis.port, &[], 3).await;
        cli(redis.port, &["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
        health_is(&panel, "redis", "down").await;
        health_is(&panel, "scheduler", "leader").await;
        cli(redis.port, &["REPLICAOF", "NO", "ONE"]);
        health_is(&panel, "redis", "ok").await;
        keys_are(redis.port, &[], 3).await;
        assert_eq!(
            number(&test.db, "SELECT epoch FROM scheduler_epoch WHERE id = 1").await,
            1,
            "there was more than one term"
        );
        assert!(panel.stop().await.success());
    });
}
