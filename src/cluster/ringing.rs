//! Carries the bell between processes by Redis pub/sub, and notes whether Redis answers. Without Redis every process
//! hears itself alone, and the polls behind the bell do the rest.

use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::bell::Bell;
use super::gate::{RedisWatch, key};

const PAUSE: Duration = Duration::from_secs(1);

/// Publishes this process's rings and passes on those of others, until `stop`.
pub async fn carry(
    bell: Bell,
    client: Client,
    cluster: String,
    instance: Uuid,
    state: RedisWatch,
    stop: CancellationToken,
) {
    let channel = key(&cluster, "bell");
    let me = instance.to_string();
    stop.run_until_cancelled(async {
        tokio::join!(
            publish(&bell, &client, &channel, &me),
            listen(&bell, &client, &channel, &me),
            probe(&client, &state)
        );
    })
    .await;
}

async fn publish(bell: &Bell, client: &Client, channel: &str, me: &str) {
    let mut ear = bell.ear();
    let mut connection: Option<MultiplexedConnection> = None;
    loop {
        ear.heard_here().await;
        // A ring that can't be sent is dropped: it is a hint, and the one after it will connect anew.
        if connection.is_none() {
            connection = client.get_multiplexed_async_connection().await.ok();
        }
        if let Some(open) = &mut connection {
            let sent: redis::RedisResult<i64> = redis::cmd("PUBLISH").arg(channel).arg(me).query_async(open).await;
            if sent.is_err() {
                connection = None;
            }
        }
    }
}

async fn listen(bell: &Bell, client: &Client, channel: &str, me: &str) {
    loop {
        if let Ok(mut subscription) = subscribe(client, channel).await {
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                if message.get_payload::<String>().is_ok_and(|from| from != me) {
                    bell.ring_from_elsewhere();
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
        // Something may have rung while nobody listened.
        bell.ring_from_elsewhere();
    }
}

/// Whoever follows a leader has no other business with Redis for a long time.
async fn probe(client: &Client, state: &RedisWatch) {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(PAUSE)).set_response_timeout(Some(PAUSE));
    let mut connection: Option<MultiplexedConnection> = None;
    loop {
        match ping(client, &config, &mut connection).await {
            Ok(()) => state.answers(),
            Err(error) => {
                connection = None;
                state.fails(&error);
            }
        }
        tokio::time::sleep(2 * PAUSE).await;
    }
}

async fn ping(
    client: &Client,
    config: &AsyncConnectionConfig,
    connection: &mut Option<MultiplexedConnection>,
) -> redis::RedisResult<()> {
    let open = match connection {
        Some(open) => open,
        None => connection.insert(client.get_multiplexed_async_connection_with_config(config).await?),
    };
    redis::cmd("PING").query_async(open).await
}

async fn subscribe(client: &Client, channel: &str) -> redis::RedisResult<PubSub> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    Ok(subscription)
}
