//! The Redis client that the settings ask for.

use anyhow::{Context, bail};
use redis::Client;

use crate::config::redis::RedisTarget;

/// A client for the coordination of several hosts; it connects when first used.
pub(super) fn client(target: &RedisTarget) -> anyhow::Result<Client> {
    match target {
        RedisTarget::Single { url } => Client::open(url.expose()).context("REDIS_URL can't be used"),
        RedisTarget::Cluster { .. } => {
            bail!("REDIS_CLUSTER: this version speaks to a single Redis server; name one in REDIS_URL")
        }
        RedisTarget::Sentinel(_) => bail!(
            "REDIS_URL names Sentinels: this version speaks to a single Redis server; name it as redis://host:6379/0"
        ),
    }
}
