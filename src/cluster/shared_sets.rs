//! Small sets in Redis that all panels of a cluster share: each has the members that were added last, for a time. While
//! Redis is away they are empty.

use std::time::Duration;

use redis::{Script, cmd};

use super::redis_pool::RedisPool;

// Scores are the times of adding, in ms. A set lives as long as its newest member.
const ADD: &str = "
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1] - ARGV[4])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 0";

/// The sets of a cluster.
#[derive(Debug)]
pub struct SharedSets {
    pool: RedisPool,
    prefix: String,
    add: Script,
}

/// Bounds of a set.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum number of members; the oldest ones are removed.
    pub members: usize,
    /// Time after which a member is removed.
    pub age: Duration,
}

impl SharedSets {
    /// The sets of a cluster of panels.
    pub fn new(pool: RedisPool, cluster: &str) -> Self {
        Self { pool, prefix: format!("{{{cluster}:sets}}"), add: Script::new(ADD) }
    }

    /// Adds a member to a set. `now` is in unix milliseconds.
    pub async fn add(&self, set: &str, member: &str, now: i64, bounds: Bounds) {
        let mut call = self.add.key(self.key(set));
        let age = u64::try_from(bounds.age.as_millis()).unwrap_or(u64::MAX);
        call.arg(now).arg(member).arg(bounds.members).arg(age);
        // The pool counts and logs its failures.
        let _: Option<u64> = self.pool.invoke(&call).await.ok();
    }

    /// Returns true if the set has this member; false while Redis is away.
    pub async fn contains(&self, set: &str, member: &str) -> bool {
        let score: Option<Option<f64>> = self.pool.query(cmd("ZSCORE").arg(self.key(set)).arg(member)).await.ok();
        score.flatten().is_some()
    }

    fn key(&self, set: &str) -> String {
        format!("{}:{set}", self.prefix)
    }
}
