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
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError,
    RedisFuture, RedisResult, TlsCertificates, TlsMode, Value,
};
use tokio::time::timeout;

use crate::config::redis::{RedisTarget, RedisTls, Sentinel as SentinelTarget};
use crate::config::secret::Secret;

/// Idle time before the kernel asks a server for a sign of life, and the time between two questions.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Address of Redis with its login. Cheap enough to clone.
#[derive(Clone)]
pub struct RedisServers(Kind);

#[derive(Clone)]
enum Kind {
    Single(Client),
    Sentinel(SentinelTarget, Option<TlsCertificates>),
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
    pub fn new(target: &RedisTarget, tls: &RedisTls) -> RedisResult<Self> {
        let certificates = certificates(tls);
        Ok(Self(match target {
            RedisTarget::Single { url } => Kind::Single(open(url, certificates.as_ref())?),
            RedisTarget::Sentinel(sentinel) => {
                // Fails now, and not with the first connection, if a certificate can't be used.
                if let Some(host) = sentinel.hosts.first() {
                    sentinel_client(sentinel, host, certificates.as_ref())?;
                }
                Kind::Sentinel(sentinel.clone(), certificates)
            }
            RedisTarget::Cluster { urls } => Kind::Cluster {
                nodes: urls.iter().map(|url| open(url, certificates.as_ref())).collect::<RedisResult<_>>()?,
                client: {
                    let urls = urls.iter().map(|url| url.expose().to_owned());
                    let mut builder = ClusterClient::builder(urls).tcp_settings(tcp());
                    if let Some(certificates) = certificates {
                        builder = builder.certs(certificates);
                    }
                    Box::new(builder.build()?)
                },
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
                Kind::Sentinel(sentinel, certificates) => {
                    let master = master(sentinel, certificates.as_ref()).await?;
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
                Kind::Sentinel(sentinel, certificates) => {
                    subscribe(&master(sentinel, certificates.as_ref()).await?, channel).await
                }
                Kind::Cluster { nodes, .. } => {
                    let attempts = nodes.iter().map(|node| Box::pin(subscribe(node, channel)));
                    select_ok(attempts).await.map(|(subscription, _)| subscription)
                }
            }
        })
        .await
    }
}

fn open(url: &Secret, certificates: Option<&TlsCertificates>) -> RedisResult<Client> {
    let server = url.expose().into_connection_info()?.set_tcp_settings(tcp());
    match certificates {
        Some(certificates) => Client::build_with_tls(server, certificates.clone()),
        None => Client::open(server),
    }
}

fn certificates(tls: &RedisTls) -> Option<TlsCertificates> {
    if tls.authorities.is_none() && tls.client.is_none() {
        return None;
    }
    let client_tls = tls.client.as_ref().map(|(certificate, key)| ClientTlsConfig {
        client_cert: certificate.clone().into_bytes(),
        client_key: key.expose().to_owned().into_bytes(),
    });
    Some(TlsCertificates { client_tls, root_cert: tls.authorities.clone().map(String::into_bytes) })
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
async fn master(target: &SentinelTarget, certificates: Option<&TlsCertificates>) -> RedisResult<Client> {
    let lookups = target
        .hosts
        .iter()
        .map(|host| Box::pin(async move { sentinel_client(target, host, certificates)?.async_get_client().await }));
    select_ok(lookups).await.map(|(master, _)| master)
}

/// A client that asks one Sentinel. TLS is for Sentinels and servers alike; the login is for the servers only.
fn sentinel_client(
    target: &SentinelTarget,
    host: &str,
    certificates: Option<&TlsCertificates>,
) -> RedisResult<SentinelClient> {
    let scheme = if target.tls { "rediss" } else { "redis" };
    let address = format!("{scheme}://{host}").into_connection_info()?.addr().clone();
    let mut builder = SentinelClientBuilder::new([address], &target.master, SentinelServerType::Master)?
        .set_client_to_redis_db(i64::from(target.database))
        .set_client_to_redis_tcp_settings(tcp());
    if let Some(name) = &target.username {
        builder = builder.set_client_to_redis_username(name);
    }
    if let Some(password) = &target.password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    if target.tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates.clone());
    }
    builder.build()
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
            Kind::Sentinel(..) => "a Redis master that Sentinels name",
            Kind::Cluster { .. } => "a Redis Cluster",
        })
    }
}
