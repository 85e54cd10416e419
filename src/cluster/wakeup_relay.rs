//! Carries the wakeup between processes by Redis pub/sub. Without Redis every process hears itself alone, and the polls
//! behind the wakeup do the rest.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::redis::{RedisConnection, RedisServers};
use super::redis_lock::key;
use super::wakeup::Wakeup;

const PAUSE: Duration = Duration::from_secs(1);

/// Publishes this process's rings and passes on those of others, until `stop`.
pub async fn carry(wakeup: Wakeup, servers: RedisServers, cluster: String, instance: Uuid, stop: CancellationToken) {
    let channel = key(&cluster, "wakeup");
    let me = instance.to_string();
    stop.run_until_cancelled(async {
        tokio::join!(publish(&wakeup, &servers, &channel, &me), listen(&wakeup, &servers, &channel, &me));
    })
    .await;
}

async fn publish(wakeup: &Wakeup, servers: &RedisServers, channel: &str, me: &str) {
    let mut wakeups = wakeup.subscribe();
    let mut connection: Option<RedisConnection> = None;
    loop {
        wakeups.wait_local().await;
        // A ring that can't be sent is dropped: it is a hint, and the one after it will connect anew.
        if connection.is_none() {
            connection = servers.connect(PAUSE).await.ok();
        }
        if let Some(open) = &mut connection {
            let sent: redis::RedisResult<i64> = redis::cmd("PUBLISH").arg(channel).arg(me).query_async(open).await;
            if sent.is_err() {
                connection = None;
            }
        }
    }
}

async fn listen(wakeup: &Wakeup, servers: &RedisServers, channel: &str, me: &str) {
    loop {
        if let Ok(mut subscription) = servers.subscribe(channel, PAUSE).await {
            // Something may have rung while nobody listened. Said only now: what rings after this is heard.
            wakeup.notify_remote();
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                if message.get_payload::<String>().is_ok_and(|from| from != me) {
                    wakeup.notify_remote();
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
