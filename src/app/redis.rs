//! Access to the Redis of `REDIS_URL`, and the state of its connection pool in the metrics.

use std::time::Duration;

use anyhow::Context;

use super::wrong_setting::wrong_setting;
use crate::clock::Clock;
use crate::cluster::panel_redis::PanelRedis;
use crate::cluster::redis_pool::RedisPool;
use crate::cluster::redis_status::NO_ANSWER;
use crate::config::Settings;

/// Time limit of the connection that [`probe`] opens.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// Sets up access to Redis, if there is a Redis. Opens no connection.
pub(super) fn access(settings: &Settings, clock: &Clock) -> anyhow::Result<Option<PanelRedis>> {
    let Some(redis) = &settings.redis else { return Ok(None) };
    let redis = PanelRedis::new(redis, settings.instance.cluster.as_str(), clock.clone());
    let unusable = || format!("{} can't be used", settings.sources.of("REDIS_URL"));
    redis.with_context(unusable).map(Some).map_err(wrong_setting)
}

/// Opens a connection for a moment. Without Redis `serve` goes on, and says the same.
pub(super) async fn probe(redis: &PanelRedis) -> anyhow::Result<()> {
    redis.servers.connect(PROBE_LIMIT).await.map(drop).context(NO_ANSWER)
}

/// Writes the state of the pool into the metrics each second.
pub(super) async fn report_pool(pool: RedisPool) {
    loop {
        let status = pool.status();
        metrics::gauge!("redis_pool_max_size").set(status.max_size as f64);
        metrics::gauge!("redis_pool_size").set(status.size as f64);
        metrics::gauge!("redis_pool_available").set(status.available as f64);
        metrics::gauge!("redis_pool_waiting").set(status.waiting as f64);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
