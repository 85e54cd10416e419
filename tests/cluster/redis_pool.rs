//! The pool of Redis connections on real servers that die, stop, become replicas, or are all in use.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use sarban::clock::Clock;
use sarban::cluster::redis::RedisServers;
use sarban::cluster::redis_pool::{RedisPool, RedisPoolError};
use sarban::config::redis::{RedisTarget, RedisTls, Sentinel};
use sarban::config::secret::Secret;
use sarban::domain::moment::Moment;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::cluster::redis_kinds::cli;
use crate::support::servers::{Redis, Sentinels};

const TIMEOUT: Duration = Duration::from_secs(1);
/// Time limit of a call, with some reserve for a busy machine; less than two calls in turn would take.
const BOUND: Duration = Duration::from_millis(1_900);
const SECOND: i64 = 1_000_000;

fn pool_of(target: &RedisTarget, size: usize, clock: &Clock) -> RedisPool {
    let servers = RedisServers::new(target, &RedisTls::default()).expect("an address");
    RedisPool::new(servers, size, TIMEOUT, clock.clone()).expect("a pool")
}

fn single(port: u16) -> RedisTarget {
    RedisTarget::Single { url: Secret::new(format!("redis://127.0.0.1:{port}")) }
}

async fn redis(folder: &Path, name: &str, replica_of: Option<u16>) -> Redis {
    Redis::start(folder.join(name), replica_of).await.expect("a Redis")
}

/// A clock that only the test advances, so that the test decides when the pool tries again.
fn clock() -> Clock {
    Clock::fixed(Moment::from_micros(0))
}

async fn increment(pool: &RedisPool) -> Result<i64, RedisPoolError> {
    pool.query(redis::cmd("INCR").arg("n")).await
}

/// The ids that Redis has given to three connections in use at the same time.
async fn three_ids(pool: &RedisPool) -> Vec<i64> {
    let id = async || pool.query::<i64>(redis::cmd("CLIENT").arg("ID")).await.expect("an id");
    let mut ids = join_all([id(), id(), id()]).await;
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn killed_redis_fails_calls_quickly_and_is_used_again_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut redis, clock) = (redis(folder.path(), "redis", None).await, clock());
    let pool = pool_of(&single(redis.port), 3, &clock);
    assert_eq!(increment(&pool).await.expect("an answer"), 1);

    redis.kill();
    let start = Instant::now();
    assert!(matches!(increment(&pool).await, Err(RedisPoolError::Redis(_) | RedisPoolError::TimedOut)));
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    assert!(matches!(increment(&pool).await, Err(RedisPoolError::Suspended)), "the pool tries again within a second");

    redis.start_again(None).await.expect("Redis starts");
    assert!(matches!(increment(&pool).await, Err(RedisPoolError::Suspended)));
    clock.advance(SECOND);
    assert_eq!(increment(&pool).await.expect("an answer"), 2);
    assert_eq!(increment(&pool).await.expect("an answer"), 3);
}

#[tokio::test]
async fn paused_redis_holds_up_no_call_longer_than_the_time_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (redis, clock) = (redis(folder.path(), "redis", None).await, clock());
    let pool = pool_of(&single(redis.port), 3, &clock);
    three_ids(&pool).await;

    redis.signal(Signal::STOP);
    let start = Instant::now();
    for answer in join_all((0..9).map(|_| increment(&pool))).await {
        answer.expect_err("a paused Redis answered");
    }
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    assert!(matches!(increment(&pool).await, Err(RedisPoolError::Suspended)));

    redis.signal(Signal::CONT);
    clock.advance(SECOND);
    increment(&pool).await.expect("an answer");
}

#[tokio::test]
async fn readonly_replica_loses_all_connections_of_the_pool() {
    let folder = tempfile::tempdir().expect("a folder");
    let (redis, other) = (redis(folder.path(), "redis", None).await, redis(folder.path(), "other", None).await);
    let clock = clock();
    let pool = pool_of(&single(redis.port), 3, &clock);
    let before = three_ids(&pool).await;
    assert_eq!(three_ids(&pool).await, before, "healthy connections are used again");

    cli(redis.port, &["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    let error = increment(&pool).await.expect_err("a replica does not write");
    let RedisPoolError::Redis(error) = error else { panic!("{error}") };
    assert_eq!(error.code(), Some("READONLY"), "{error}");

    clock.advance(SECOND);
    // A single call tries first, so that the pool is no longer suspended.
    pool.query::<String>(&redis::cmd("PING")).await.expect("an answer");
    let after = three_ids(&pool).await;
    assert!(after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
    assert_eq!(pool.status().size, 3);
    cli(redis.port, &["REPLICAOF", "NO", "ONE"]);
    increment(&pool).await.expect("an answer");
}

#[tokio::test]
async fn exhausted_pool_fails_further_calls_and_only_these() {
    let folder = tempfile::tempdir().expect("a folder");
    let (redis, clock) = (redis(folder.path(), "redis", None).await, clock());
    // Leaves enough time between the end of the wait below and the limit, even on a busy machine.
    let servers = RedisServers::new(&single(redis.port), &RedisTls::default()).expect("an address");
    let pool = RedisPool::new(servers, 1, 2 * TIMEOUT, clock).expect("a pool");
    increment(&pool).await.expect("an answer");

    // The only connection waits for an element of a list that stays empty.
    let mut waiting = redis::cmd("BLPOP");
    waiting.arg("nothing").arg(1.5);
    let (first, second) = tokio::join!(pool.query::<Option<(String, String)>>(&waiting), increment(&pool));
    assert_eq!(first.expect("an answer"), None);
    assert!(matches!(second, Err(RedisPoolError::Exhausted)), "{second:?}");
    assert_eq!(increment(&pool).await.expect("an answer, at once"), 2);
}

/// The old master continues as a replica. The first address of `REDIS_URL` is that of a host which accepts connections
/// and never answers.
#[tokio::test]
async fn pool_follows_a_fail_over_past_a_silent_sentinel() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = redis(folder.path(), "master", None).await;
    let replica = redis(folder.path(), "replica", Some(master.port)).await;
    let sentinels = Sentinels::start(folder.path(), master.port).await.expect("Sentinels");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut hosts = vec![silent.local_addr().expect("an address").to_string()];
    hosts.extend(sentinels.ports.iter().map(|port| format!("127.0.0.1:{port}")));
    let (name, database) = ("main".to_owned(), 0);
    let sentinel = Sentinel { hosts, master: name, database, username: None, password: None, tls: false };
    let pool = pool_of(&RedisTarget::Sentinel(sentinel), 3, &Clock::real());
    assert_eq!(increment(&pool).await.expect("an answer"), 1);

    let limit = Instant::now() + Duration::from_secs(60);
    // The Sentinels refuse until they have found the replica and each other.
    while cli(sentinels.ports[0], &["SENTINEL", "FAILOVER", "main"]) != "OK" {
        assert!(Instant::now() < limit, "the Sentinels refuse to fail over");
        sleep(Duration::from_millis(200)).await;
    }
    while !cli(master.port, &["ROLE"]).starts_with("slave") || !cli(replica.port, &["ROLE"]).starts_with("master") {
        assert!(Instant::now() < limit, "no fail-over");
        increment(&pool).await.ok();
        sleep(Duration::from_millis(100)).await;
    }
    while increment(&pool).await.is_err() {
        assert!(Instant::now() < limit, "the pool does not find the new master");
        sleep(Duration::from_millis(100)).await;
    }
    let new: i64 = cli(replica.port, &["GET", "n"]).parse().expect("a number");
    assert_eq!(increment(&pool).await.expect("an answer"), new + 1, "the pool does not write to the new master");
}
