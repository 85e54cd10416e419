//! Where Redis is: one server, the master that Sentinels name, or a Redis Cluster; and a connection to it, whichever
//! it is. A connection is made where Redis is at that moment: after any error it is dropped and made anew, so that a
//! fail-over is followed.

use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{Sentinel, SentinelNodeConnectionInfo};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult,
    TlsMode, Value,
};
use tokio::time::timeout;

use crate::config::redis::{RedisTarget, Sentinel as SentinelTarget};

/// The Redis of a cluster. Cheap enough to clone.
#[derive(Clone)]
pub struct RedisServers(Kind);

#[derive(Clone)]
enum Kind {
    Single(Client),
    Sentinel(SentinelTarget),
    Cluster {
        client: Box<ClusterClient>,
        /// Each node by itself: a subscription needs any one of them.
        nodes: Vec<Client>,
    },
}

/// One connection. Clones share it: commands of several may be under way at once.
#[derive(Clone)]
pub enum RedisConnection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To the nodes of a Redis Cluster.
    Cluster(ClusterConnection),
}

impl RedisServers {
    /// As the settings say; connects when first used.
    pub fn new(target: &RedisTarget) -> RedisResult<Self> {
        Ok(Self(match target {
            RedisTarget::Single { url } => Kind::Single(Client::open(url.expose())?),
            RedisTarget::Sentinel(sentinel) => Kind::Sentinel(sentinel.clone()),
            RedisTarget::Cluster { urls } => Kind::Cluster {
                client: Box::new(ClusterClient::new(urls.iter().map(|url| url.expose().to_owned()))?),
                nodes: urls.iter().map(|url| Client::open(url.expose())).collect::<RedisResult<_>>()?,
            },
        }))
    }

    /// A connection of its own. `limit` bounds making it, and then every answer.
    pub async fn connect(&self, limit: Duration) -> RedisResult<RedisConnection> {
        within(limit, async {
            let config =
                AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
            Ok(match &self.0 {
                Kind::Single(client) => {
                    RedisConnection::Single(client.get_multiplexed_async_connection_with_config(&config).await?)
                }
                Kind::Sentinel(sentinel) => {
                    let master = master(sentinel).await?;
                    RedisConnection::Single(master.get_multiplexed_async_connection_with_config(&config).await?)
                }
                Kind::Cluster { client, .. } => {
                    let config = ClusterConfig::new().set_connection_timeout(limit).set_response_timeout(limit);
                    RedisConnection::Cluster(client.get_async_connection_with_config(config).await?)
                }
            })
        })
        .await
    }

    /// A subscription to one channel, on a connection of its own.
    pub async fn subscribe(&self, channel: &str, limit: Duration) -> RedisResult<PubSub> {
        within(limit, async {
            match &self.0 {
                Kind::Single(client) => subscribe(client, channel).await,
                Kind::Sentinel(sentinel) => subscribe(&master(sentinel).await?, channel).await,
                Kind::Cluster { nodes, .. } => {
                    let mut answer = Err(timed_out());
                    for node in nodes {
                        // What is published on one node is heard on all.
                        answer = subscribe(node, channel).await;
                        if answer.is_ok() {
                            break;
                        }
                    }
                    answer
                }
            }
        })
        .await
    }
}

async fn subscribe(client: &Client, channel: &str) -> RedisResult<PubSub> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    Ok(subscription)
}

/// Where the master is now. The Sentinels are asked each time: a remembered answer is the one before the fail-over.
async fn master(target: &SentinelTarget) -> RedisResult<Client> {
    // Sentinels are asked in plain text or TLS as the servers are, and know no passwords of the servers' own.
    let scheme = if target.tls { "rediss" } else { "redis" };
    let mut sentinels = Sentinel::build(target.hosts.iter().map(|host| format!("{scheme}://{host}")).collect())?;
    let mut login = RedisConnectionInfo::default().set_db(i64::from(target.database));
    if let Some(name) = &target.username {
        login = login.set_username(name);
    }
    if let Some(password) = &target.password {
        login = login.set_password(password.expose());
    }
    let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(login);
    if target.tls {
        node = node.set_tls_mode(TlsMode::Secure);
    }
    sentinels.async_master_for(&target.master, Some(&node)).await
}

/// A server that hangs must not hold up what the database decides.
pub(super) async fn within<T>(limit: Duration, answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(limit, answer).await.unwrap_or_else(|_| Err(timed_out()))
}

fn timed_out() -> RedisError {
    RedisError::from((ErrorKind::Io, "no answer in time"))
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl std::fmt::Debug for RedisServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Addresses may hold passwords.
        f.write_str(match self.0 {
            Kind::Single(_) => "one Redis server",
            Kind::Sentinel(_) => "a Redis master that Sentinels name",
            Kind::Cluster { .. } => "a Redis Cluster",
        })
    }
}
