//! The Redis that the settings ask for.

use anyhow::Context;

use crate::cluster::redis::RedisServers;
use crate::config::redis::RedisTarget;

/// For the coordination of several hosts; connects when first used.
pub(super) fn servers(target: &RedisTarget) -> anyhow::Result<RedisServers> {
    RedisServers::new(target).context("REDIS_URL can't be used")
}
