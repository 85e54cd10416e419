//! The Redis redis_lock, on a real Redis.

use std::time::Duration;

use redis::Client;
use sarban::cluster::redis::RedisServers;
use sarban::cluster::redis_lock::{Acquired, RedisLock, RedisState, RedisWatch, key};
use sarban::config::redis::RedisTarget;
use sarban::config::secret::Secret;
use uuid::Uuid;

use crate::support;

/// One server.
pub fn servers(url: &str) -> RedisServers {
    RedisServers::new(&RedisTarget::Single { url: Secret::new(url) }).expect("an address")
}

fn redis_lock(cluster: &str, number: u128, ttl_ms: u64) -> RedisLock {
    let servers = servers(&support::redis_url());
    let limit = Duration::from_secs(1);
    RedisLock::new(
        servers,
        cluster,
        Uuid::from_u128(number),
        Duration::from_millis(ttl_ms),
        limit,
        RedisWatch::new(RedisState::Ok),
    )
}

fn cluster() -> String {
    format!("test-{}", Uuid::new_v4().simple())
}

#[tokio::test]
async fn one_holds_the_lock_and_the_others_hear_for_how_long() {
    let cluster = cluster();
    let (mut ann, mut ben) = (redis_lock(&cluster, 1, 5_000), redis_lock(&cluster, 2, 5_000));
    assert_eq!(ann.acquire().await.unwrap(), Acquired::Mine);
    assert_eq!(ann.acquire().await.unwrap(), Acquired::Mine, "mine is extended");
    let Acquired::Busy(remaining) = ben.acquire().await.unwrap() else { panic!("two holders") };
    assert!(remaining > Duration::from_secs(4) && remaining <= Duration::from_secs(5), "{remaining:?}");
    assert!(!ben.renew().await.unwrap());
    assert!(!ben.release().await.unwrap());
    assert!(ann.release().await.unwrap());
    assert_eq!(ben.acquire().await.unwrap(), Acquired::Mine);
}

#[tokio::test]
async fn a_lock_that_redis_lost_is_taken_back_by_its_holder() {
    let cluster = cluster();
    let (mut ann, mut ben) = (redis_lock(&cluster, 1, 5_000), redis_lock(&cluster, 2, 5_000));
    assert_eq!(ann.acquire().await.unwrap(), Acquired::Mine);
    let client = Client::open(support::redis_url()).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let _: i64 = redis::cmd("DEL").arg(key(&cluster, "leader")).query_async(&mut connection).await.expect("deleted");
    assert!(ann.renew().await.unwrap());
    assert!(matches!(ben.acquire().await.unwrap(), Acquired::Busy(_)));
}

#[tokio::test]
async fn a_lock_expires_by_itself() {
    let cluster = cluster();
    let (mut ann, mut ben) = (redis_lock(&cluster, 1, 100), redis_lock(&cluster, 2, 100));
    assert_eq!(ann.acquire().await.unwrap(), Acquired::Mine);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(ben.acquire().await.unwrap(), Acquired::Mine);
}

#[tokio::test]
async fn an_absent_redis_is_an_error_and_is_noticed() {
    // The discard port: nobody listens.
    let nobody = servers("redis://127.0.0.1:9");
    let state = RedisWatch::new(RedisState::Ok);
    let limit = Duration::from_millis(300);
    let mut redis_lock = RedisLock::new(nobody, "c", Uuid::from_u128(1), Duration::from_secs(1), limit, state.clone());
    assert!(redis_lock.acquire().await.is_err());
    assert_eq!(*state.seen().borrow(), RedisState::Down);
}
