//! Carries wake-ups between processes by Redis pub/sub. Without Redis, a process receives only its own wake-ups and finds
//! the rest by polling.

use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use redis::{ErrorKind, RedisError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::panel_redis::PanelRedis;
use super::redis::within;
use super::redis_pool::RedisPoolError;
use super::redis_status::RedisMonitor;
use super::wakeup::Wakeup;
use super::wakeup_message::{self, Received};
use crate::domain::change::Changed;

/// Time limit of a subscription, and the pause after one has ended.
const RETRY: Duration = Duration::from_secs(1);
/// Time between two signs of life of a subscription, and the time limit of one.
const PING: Duration = Duration::from_secs(2);
const PING_LIMIT: Duration = Duration::from_secs(3);

/// Wakes all processes of the cluster once, for a process that does not relay: a command. Its wake-up says what it changed.
pub async fn publish_once(wakeup: &Wakeup, redis: &PanelRedis) -> Result<(), RedisPoolError> {
    let mut message = redis::cmd("PUBLISH");
    // No process has this id.
    let text = wakeup_message::write(Uuid::new_v4(), &wakeup.local_changes_since(0));
    message.arg(redis.key("wakeup")).arg(text);
    redis.pool.query::<i64>(&message).await.map(drop)
}

/// Publishes the wake-ups of this process, until `stop`. Runs on the workers' runtime, which drives the pool.
pub async fn publish(wakeup: Wakeup, redis: PanelRedis, instance: Uuid, stop: CancellationToken) {
    let (mut wakeups, mut number) = (wakeup.subscribe(), wakeup.next_change());
    let publishing = async {
        loop {
            wakeups.wait_local().await;
            let since = wakeup.local_changes_since(number);
            let mut message = redis::cmd("PUBLISH");
            message.arg(redis.key("wakeup")).arg(wakeup_message::write(instance, &since));
            // A wake-up that can't be sent is dropped: it is a hint, and receivers poll. The next one has its changes, too.
            if redis.pool.query::<i64>(&message).await.is_ok() {
                number = since.next;
            }
        }
    };
    stop.run_until_cancelled(publishing).await.unwrap_or(());
}

/// Passes on the wake-ups of other processes, until `stop`. Runs on the lease's thread, so that a candidate receives the
/// leader's last wake-up even if all workers are blocked.
pub async fn listen(wakeup: Wakeup, redis: PanelRedis, instance: Uuid, monitor: RedisMonitor, stop: CancellationToken) {
    let channel = redis.key("wakeup");
    let listening = async {
        loop {
            let lost = match redis.servers.subscribe(&channel, RETRY).await {
                Ok(subscription) => {
                    monitor.subscribed();
                    // Others may have changed anything before the subscription began.
                    wakeup.notify_remote(Changed::ALL.map(Changed::any));
                    follow(subscription, &wakeup, instance).await
                }
                Err(error) => error,
            };
            monitor.unsubscribed(&lost);
            tokio::time::sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(listening).await.unwrap_or(());
}

/// Passes on the messages of a subscription until it is lost. A host that lost its power closes no connection, so the
/// server is asked for a sign of life.
async fn follow(subscription: PubSub, wakeup: &Wakeup, me: Uuid) -> RedisError {
    let (mut commands, mut messages) = subscription.split();
    let receiving = async {
        while let Some(message) = messages.next().await {
            let Ok(text) = message.get_payload::<String>() else { continue };
            if let Received::FromOther(changes) = wakeup_message::read(&text, me) {
                wakeup.notify_remote(changes);
            }
        }
        RedisError::from((ErrorKind::Io, "the server closed the subscription"))
    };
    let pinging = async {
        loop {
            tokio::time::sleep(PING).await;
            if let Err(error) = within(PING_LIMIT, commands.ping::<redis::Value>()).await {
                return error;
            }
        }
    };
    tokio::select! {
        lost = receiving => lost,
        lost = pinging => lost,
    }
}
