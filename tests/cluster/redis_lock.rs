//! The Redis lock, on a real Redis.

use std::time::Duration;

use redis::Client;
use sarban::clock::Clock;
use sarban::cluster::dedicated_connection::DedicatedConnection;
use sarban::cluster::panel_redis::PanelRedis;
use sarban::cluster::redis::scheduler_key;
use sarban::cluster::redis_lock::{Acquired, RedisLock};
use sarban::cluster::redis_status::{RedisMonitor, RedisStatus};
use sarban::config::redis::{RedisSettings, RedisTarget, RedisTls};
use sarban::config::secret::Secret;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::support;
use crate::support::proxy::{Proxy, ProxyFault};

/// Access to one server, for a cluster of panels with this name.
pub fn panel_redis(url: &str, cluster: &str) -> PanelRedis {
    let target = RedisTarget::Single { url: Secret::new(url) };
    let settings = RedisSettings { target, pool_size: 2, timeout: Duration::from_secs(1), tls: RedisTls::default() };
    PanelRedis::new(&settings, cluster, Clock::real()).expect("an address")
}

fn redis_lock(cluster: &str, number: u128, ttl_ms: u64) -> RedisLock {
    let servers = panel_redis(&support::redis_url(), cluster).servers;
    let connection = DedicatedConnection::new(servers, Duration::from_secs(1), RedisMonitor::new(RedisStatus::Ok));
    RedisLock::new(connection, cluster, Uuid::from_u128(number), Duration::from_millis(ttl_ms))
}

fn cluster() -> String {
    format!("test-{}", Uuid::new_v4().simple())
}

#[tokio::test]
async fn lock_held_by_one_is_busy_for_others_with_remaining_time() {
    let cluster = cluster();
    let (mut ann, mut ben) = (redis_lock(&cluster, 1, 5_000), redis_lock(&cluster, 2, 5_000));
    assert_eq!(ann.acquire().await.unwrap(), Acquired::Mine);
    assert_eq!(ann.acquire().await.unwrap(), Acquired::Mine, "the own lock is extended");
    let Acquired::Busy(remaining) = ben.acquire().await.unwrap() else { panic!("two holders") };
    assert!(remaining > Duration::from_secs(4) && remaining <= Duration::from_secs(5), "{remaining:?}");
    assert!(!ben.renew().await.unwrap());
    assert!(!ben.release().await.unwrap());
    assert!(ann.release().await.unwrap());
    assert_eq!(ben.acquire().await.unwrap(), Acquired::Mine);
}

#[tokio::test]
async fn lock_lost_by_redis_is_taken_back_by_its_holder() {
    let cluster = cluster();
    let (mut ann, mut ben) = (redis_lock(&cluster, 1, 5_000), redis_lock(&cluster, 2, 5_000));
    assert_eq!(ann.acquire().await.unwrap(), Acquired::Mine);
    let client = Client::open(support::redis_url()).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let _: i64 =
        redis::cmd("DEL").arg(scheduler_key(&cluster, "leader")).query_async(&mut connection).await.expect("deleted");
    assert!(ann.renew().await.unwrap());
    assert!(matches!(ben.acquire().await.unwrap(), Acquired::Busy(_)));
}

#[tokio::test]
async fn lock_without_renewal_expires() {
    let cluster = cluster();
    let (mut ann, mut ben) = (redis_lock(&cluster, 1, 100), redis_lock(&cluster, 2, 100));
    assert_eq!(ann.acquire().await.unwrap(), Acquired::Mine);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(ben.acquire().await.unwrap(), Acquired::Mine);
}

#[tokio::test]
async fn absent_redis_is_an_error_and_changes_the_status() {
    // The discard port: no server listens.
    let no_server = panel_redis("redis://127.0.0.1:9", "c").servers;
    let monitor = RedisMonitor::new(RedisStatus::Ok);
    let connection = DedicatedConnection::new(no_server, Duration::from_millis(300), monitor.clone());
    let mut redis_lock = RedisLock::new(connection, "c", Uuid::from_u128(1), Duration::from_secs(1));
    assert!(redis_lock.acquire().await.is_err());
    assert_eq!(*monitor.subscribe().borrow(), RedisStatus::Down);
}

/// A firewall that forgets a connection closes it on neither side.
#[tokio::test]
async fn silent_cut_delays_calls_by_their_limit_and_connections_are_made_again() {
    let url = support::redis_url();
    let proxy = Proxy::start(url.rsplit_once(':').expect("a port").1.parse().expect("a port")).await.expect("a proxy");
    let cluster = cluster();
    let redis = panel_redis(&format!("redis://127.0.0.1:{}", proxy.port), &cluster);
    let monitor = RedisMonitor::new(RedisStatus::Ok);
    let connection = DedicatedConnection::new(redis.servers.clone(), Duration::from_secs(1), monitor);
    let mut lock = RedisLock::new(connection, &cluster, Uuid::from_u128(1), Duration::from_secs(30));
    let ping = async || redis.pool.query::<String>(&redis::cmd("PING")).await;
    assert_eq!(lock.acquire().await.expect("an answer"), Acquired::Mine);
    ping().await.expect("an answer");
    assert_eq!(keepalive_timers(proxy.port), 2, "not both connections have keepalive");
    proxy.set(ProxyFault::Lost);
    for _ in 0..2 {
        let start = Instant::now();
        let (renewed, answered) = tokio::join!(lock.renew(), ping());
        renewed.expect_err("no answer");
        answered.expect_err("no answer");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    proxy.set(ProxyFault::Clear);
    assert!(lock.renew().await.expect("a new connection"));
    // The pool tries again a second after a failure.
    sleep(Duration::from_secs(1)).await;
    ping().await.expect("a new connection");
}

/// Number of established connections to this port of 127.0.0.1 whose keepalive timer runs.
fn keepalive_timers(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    let (peer, established, keepalive) = (format!("0100007F:{port:04X}"), "01", "02:");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 5 && row[2] == peer && row[3] == established && row[5].starts_with(keepalive)).count()
}
