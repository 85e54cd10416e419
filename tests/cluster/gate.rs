//! The Redis gate, on a real Redis.

use std::time::Duration;

use redis::Client;
use sarban::cluster::gate::{Gained, Gate, RedisState, RedisWatch, key};
use sarban::cluster::servers::RedisServers;
use sarban::config::redis::RedisTarget;
use sarban::config::secret::Secret;
use uuid::Uuid;

use crate::support;

/// One server.
pub fn servers(url: &str) -> RedisServers {
    RedisServers::new(&RedisTarget::Single { url: Secret::new(url) }).expect("an address")
}

fn gate(cluster: &str, number: u128, ttl_ms: u64) -> Gate {
    let servers = servers(&support::redis_url());
    let limit = Duration::from_secs(1);
    Gate::new(
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
    let (mut ann, mut ben) = (gate(&cluster, 1, 5_000), gate(&cluster, 2, 5_000));
    assert_eq!(ann.acquire().await.unwrap(), Gained::Mine);
    assert_eq!(ann.acquire().await.unwrap(), Gained::Mine, "mine is extended");
    let Gained::Busy(remaining) = ben.acquire().await.unwrap() else { panic!("two holders") };
    assert!(remaining > Duration::from_secs(4) && remaining <= Duration::from_secs(5), "{remaining:?}");
    assert!(!ben.renew().await.unwrap());
    assert!(!ben.release().await.unwrap());
    assert!(ann.release().await.unwrap());
    assert_eq!(ben.acquire().await.unwrap(), Gained::Mine);
}

#[tokio::test]
async fn a_lock_that_redis_lost_is_taken_back_by_its_holder() {
    let cluster = cluster();
    let (mut ann, mut ben) = (gate(&cluster, 1, 5_000), gate(&cluster, 2, 5_000));
    assert_eq!(ann.acquire().await.unwrap(), Gained::Mine);
    let client = Client::open(support::redis_url()).expect("an address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let _: i64 = redis::cmd("DEL").arg(key(&cluster, "leader")).query_async(&mut connection).await.expect("deleted");
    assert!(ann.renew().await.unwrap());
    assert!(matches!(ben.acquire().await.unwrap(), Gained::Busy(_)));
}

#[tokio::test]
async fn a_lock_expires_by_itself() {
    let cluster = cluster();
    let (mut ann, mut ben) = (gate(&cluster, 1, 100), gate(&cluster, 2, 100));
    assert_eq!(ann.acquire().await.unwrap(), Gained::Mine);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(ben.acquire().await.unwrap(), Gained::Mine);
}

#[tokio::test]
async fn an_absent_redis_is_an_error_and_is_noticed() {
    // The discard port: nobody listens.
    let nobody = servers("redis://127.0.0.1:9");
    let state = RedisWatch::new(RedisState::Ok);
    let limit = Duration::from_millis(300);
    let mut gate = Gate::new(nobody, "c", Uuid::from_u128(1), Duration::from_secs(1), limit, state.clone());
    assert!(gate.acquire().await.is_err());
    assert_eq!(*state.seen().borrow(), RedisState::Down);
}
