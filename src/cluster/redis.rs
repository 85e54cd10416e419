//! Connections to Redis: one server, the master that Sentinels name, or a Redis Cluster.
//!
//! A connection is made to the server that is master at that moment. Its owner drops it after any error and makes another
//! one, which follows a fail-over.

use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::sentinel::{Sentinel, SentinelNodeConnectionInfo};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError,
    RedisFuture, RedisResult, TlsMode, Value,
};
use tokio::time::timeout;

use crate::config::redis::{RedisTarget, Sentinel as SentinelTarget};
use crate::config::secret::Secret;

/// Idle time before the kernel asks a server for a sign of life, and the time between two questions.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Address of Redis with its login. Cheap enough to clone.
#[derive(Clone)]
pub struct RedisServers(Kind);

#[derive(Clone)]
enum Kind {
    Single(Client),
    Sentinel(SentinelTarget),
    Cluster {
        client: Box<ClusterClient>,
        /// Each node by itself, for subscriptions: a message published on one node reaches all.
        nodes: Vec<Client>,
    },
}

/// One connection. Clones share it, and may send commands at the same time.
#[derive(Clone)]
pub enum RedisConnection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To the nodes of a Redis Cluster.
    Cluster(ClusterConnection),
}

/// A Redis key of the scheduler. The name of the cluster of panels is the hash tag, so that a Redis Cluster keeps all
/// these keys on one node.
pub fn scheduler_key(cluster: &str, name: &str) -> String {
    format!("{{{cluster}:scheduler}}:{name}")
}

impl RedisServers {
    /// The servers of `REDIS_URL`. Opens no connection.
    pub fn new(target: &RedisTarget) -> RedisResult<Self> {
        Ok(Self(match target {
            RedisTarget::Single { url } => Kind::Single(open(url)?),
            RedisTarget::Sentinel(sentinel) => Kind::Sentinel(sentinel.clone()),
            RedisTarget::Cluster { urls } => Kind::Cluster {
                client: {
                    let urls = urls.iter().map(|url| url.expose().to_owned());
                    Box::new(ClusterClient::builder(urls).tcp_settings(tcp()).build()?)
                },
                nodes: urls.iter().map(open).collect::<RedisResult<_>>()?,
            },
        }))
    }

    /// Opens a connection. `limit` bounds opening it, and then every answer.
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
                    // The client waits for every node of `REDIS_URL`: one that is down must not use up the limit.
                    let config = ClusterConfig::new().set_connection_timeout(limit / 2).set_response_timeout(limit);
                    RedisConnection::Cluster(client.get_async_connection_with_config(config).await?)
                }
            })
        })
        .await
    }

    /// Opens a connection that is subscribed to a channel. `limit` bounds opening it.
    pub async fn subscribe(&self, channel: &str, limit: Duration) -> RedisResult<PubSub> {
        within(limit, async {
            match &self.0 {
                Kind::Single(client) => subscribe(client, channel).await,
                Kind::Sentinel(sentinel) => subscribe(&master(sentinel).await?, channel).await,
                Kind::Cluster { nodes, .. } => {
                    let attempts = nodes.iter().map(|node| Box::pin(subscribe(node, channel)));
                    select_ok(attempts).await.map(|(subscription, _)| subscription)
                }
            }
        })
        .await
    }
}

fn open(url: &Secret) -> RedisResult<Client> {
    Client::open(url.expose().into_connection_info()?.set_tcp_settings(tcp()))
}

/// Notices a peer that is gone without a word, also on a connection that is idle for long, and before a firewall on the way
/// forgets the connection.
fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE).with_retries(2);
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive).set_user_timeout(3 * KEEP_ALIVE)
}

async fn subscribe(client: &Client, channel: &str) -> RedisResult<PubSub> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    Ok(subscription)
}

/// Finds the master. The Sentinels are asked each time, because an earlier answer may predate a fail-over; and all at
/// once, because one that is down must not use up the time limit.
async fn master(target: &SentinelTarget) -> RedisResult<Client> {
    // TLS is for Sentinels and servers alike; the login is for the servers only.
    let scheme = if target.tls { "rediss" } else { "redis" };
    let mut login = RedisConnectionInfo::default().set_db(i64::from(target.database));
    if let Some(name) = &target.username {
        login = login.set_username(name);
    }
    if let Some(password) = &target.password {
        login = login.set_password(password.expose());
    }
    let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(login).set_tcp_settings(tcp());
    if target.tls {
        node = node.set_tls_mode(TlsMode::Secure);
    }
    let node = &node;
    let lookups = target.hosts.iter().map(|host| {
        Box::pin(async move {
            let mut sentinel = Sentinel::build(vec![format!("{scheme}://{host}")])?;
            sentinel.async_master_for(&target.master, Some(node)).await
        })
    });
    select_ok(lookups).await.map(|(master, _)| master)
}

/// Fails with an I/O error if `answer` is not there within `limit`.
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
