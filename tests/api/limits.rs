//! Failed attempts count on all hosts of a cluster through Redis, and on each host alone while Redis is down.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use sarban::store::Db;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::api::panel::{Answer, TestPanel, send};
use crate::support;
use crate::support::database::on_both_engines;

on_both_engines!(
    wrong_passwords_count_on_all_hosts_of_a_cluster,
    strangers_lock_an_admin_out_of_unknown_networks_only,
    wrong_links_count_on_all_hosts_of_a_cluster,
    hosts_count_attempts_alone_while_redis_is_down,
    paused_redis_does_not_delay_sign_in,
);

/// A Redis server of one test, which the test can stop and start.
struct OwnRedis {
    port: u16,
    folder: TempDir,
    server: Child,
}

impl OwnRedis {
    async fn start() -> Self {
        let free = crate::support::ports::free_port();
        let folder = tempfile::tempdir().unwrap();
        let server = Self::run(free, &folder).await;
        Self { port: free, folder, server }
    }

    async fn run(port: u16, folder: &TempDir) -> Child {
        let port_text = port.to_string();
        let mut server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port_text, "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server.kill().unwrap();
        server.wait().unwrap();
        panic!("Redis does not start on port {port}");
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn stop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    async fn start_again(&mut self) {
        self.server = Self::run(self.port, &self.folder).await;
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

async fn sign_in(panel: &TestPanel, name: &str, password: &str) -> Answer {
    let form = [("username", name), ("password", password)];
    send(panel.request(Method::POST, "/api/admins/token").form(&form)).await
}

/// Redis answers late on a busy machine, and a host that does not wait counts alone.
const PATIENT: (&str, &str) = ("REDIS_TIMEOUT_SECONDS", "20");

/// Starts two hosts of a new cluster.
async fn hosts(db: Db, redis: &str, more: &[(&str, &str)]) -> [TestPanel; 2] {
    let cluster = format!("test-{}", uuid::Uuid::new_v4().simple());
    let settings = [&[("REDIS_URL", redis), ("CLUSTER_NAME", cluster.as_str())], more].concat();
    let first = TestPanel::start_with(db, &settings).await;
    let second = TestPanel::beside(&first, &settings).await;
    [first, second]
}

async fn wrong_passwords_count_on_all_hosts_of_a_cluster(db: Db) {
    let [first, second] = hosts(db, &support::redis_url(), &[("LOGIN_ATTEMPTS_PER_MINUTE", "3"), PATIENT]).await;
    for host in [&first, &second] {
        sign_in(host, "root", "rootpass").await.ok();
    }
    for host in [&first, &second, &first] {
        sign_in(host, "root", "wrong").await.refused(401);
    }
    for host in [&first, &second] {
        let answer = sign_in(host, "root", "rootpass").await;
        answer.refused(429);
        let seconds: u32 = answer.header("retry-after").expect("a header").parse().expect("seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
        sign_in(host, "somebody else", "wrong").await.refused(401);
    }
}

async fn strangers_lock_an_admin_out_of_unknown_networks_only(db: Db) {
    let [first, second] = hosts(db, &support::redis_url(), &[("LOGIN_ATTEMPTS_PER_MINUTE", "2"), PATIENT]).await;
    let sign_in_from = async |host: &TestPanel, address: &str, password: &str| {
        let request = host.request(Method::POST, "/api/admins/token").header("x-forwarded-for", address);
        send(request.form(&[("username", "root"), ("password", password)])).await
    };
    sign_in_from(&first, "2001:db8::1", "rootpass").await.ok();
    sign_in_from(&first, "9.9.9.1", "wrong").await.refused(401);
    sign_in_from(&second, "9.9.9.2", "wrong").await.refused(401);
    for host in [&first, &second] {
        sign_in_from(host, "9.9.9.3", "wrong").await.refused(429);
        sign_in_from(host, "7.7.7.7", "rootpass").await.refused(429);
        sign_in_from(host, "2001:db8::2", "rootpass").await.ok();
        sign_in(host, "root", "rootpass").await.ok();
    }
    // A known network has a limit of its own.
    sign_in_from(&first, "2001:db8::3", "wrong").await.refused(401);
    sign_in_from(&second, "2001:db8::3", "wrong").await.refused(401);
    sign_in_from(&first, "2001:db8::1", "rootpass").await.refused(429);
}

async fn wrong_links_count_on_all_hosts_of_a_cluster(db: Db) {
    let [first, second] = hosts(db, &support::redis_url(), &[("SUBSCRIPTION_MISSES_PER_MINUTE", "3"), PATIENT]).await;
    let miss = async |host: &TestPanel| send(host.request(Method::GET, "/sub/nobody/abc")).await;
    for host in [&first, &second, &first] {
        miss(host).await.refused(404);
    }
    miss(&second).await.refused(429);
    miss(&first).await.refused(429);
    first.post("root", "/api/users", json!({"username": "ann", "expire_strategy": "never", "key": "a1b"})).await.ok();
    let hit = send(second.request(Method::GET, "/sub/ann/a1b/links")).await;
    assert_eq!(hit.status, 200, "right links never count");
}

async fn hosts_count_attempts_alone_while_redis_is_down(db: Db) {
    let mut redis = OwnRedis::start().await;
    let [first, second] = hosts(db, &redis.url(), &[("LOGIN_ATTEMPTS_PER_MINUTE", "2")]).await;
    sign_in(&first, "root", "wrong").await.refused(401);
    redis.stop();
    // Attempts that this host counted before still count here, but not on the other host.
    sign_in(&first, "root", "wrong").await.refused(401);
    sign_in(&first, "root", "rootpass").await.refused(429);
    sign_in(&second, "root", "rootpass").await.ok();
    redis.start_again().await;
    // Each host tries Redis again after a second of its own clock.
    for host in [&first, &second] {
        host.panel.clock.advance(1_000_000);
    }
    for host in [&first, &second] {
        sign_in(host, "other", "wrong").await.refused(401);
    }
    sign_in(&second, "other", "wrong").await.refused(429);
}

async fn paused_redis_does_not_delay_sign_in(db: Db) {
    let redis = OwnRedis::start().await;
    let [host, _] = hosts(db, &redis.url(), &[("LOGIN_ATTEMPTS_PER_MINUTE", "1000")]).await;
    let usual = forty_logins(&host).await;
    let process = Pid::from_child(&redis.server);
    kill_process(process, Signal::STOP).unwrap();
    // One time limit of 0.25 s for all together. Were it one for each in turn, that would be 5 s.
    let took = forty_logins(&host).await;
    assert!(took < 2 * usual + Duration::from_secs(2), "{took:?} instead of {usual:?}");
}

/// Twenty at once and twenty in turn. Returns how long they took, which is mostly hashing.
async fn forty_logins(host: &TestPanel) -> Duration {
    let start = Instant::now();
    for answer in join_all((0..20).map(|_| sign_in(host, "root", "rootpass"))).await {
        answer.ok();
    }
    for _ in 0..20 {
        sign_in(host, "root", "rootpass").await.ok();
    }
    start.elapsed()
}
