//! Settings of Redis: its address (one server, a Redis Cluster, or a master behind Sentinels) and its connection pool.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::errors::SettingError;
use super::secret::Secret;
use super::values::{elements, fine_seconds, flag, is_url, whole};

/// The Redis that the panels of a cluster share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// The address.
    pub target: RedisTarget,
    /// Maximum number of connections in the pool of this process.
    pub pool_size: usize,
    /// Time limit of one command, including the wait for a connection.
    pub timeout: Duration,
}

/// The address of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTarget {
    /// One server.
    Single {
        /// URL of the server.
        url: Secret,
    },
    /// A Redis Cluster.
    Cluster {
        /// URLs of some of the nodes; the others are discovered.
        urls: Vec<Secret>,
    },
    /// A master whose address Sentinels know.
    Sentinel(Sentinel),
}

/// A master behind Sentinels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// Addresses of the Sentinels, as `host:port`.
    pub hosts: Vec<String>,
    /// Name of the master.
    pub master: String,
    /// Number of the master's database.
    pub database: u32,
    /// User name at the master.
    pub username: Option<String>,
    /// Password at the master.
    pub password: Option<Secret>,
    /// True: TLS to the Sentinels and the master.
    pub tls: bool,
}

const SENTINEL_PORT: &str = "26379";
const FORMS: &str = "must be redis://host:6379/0, rediss:// for TLS, or redis+sentinel://host1,host2,host3/master/0";

#[derive(Deserialize)]
pub(super) struct RedisVariables {
    redis_url: Option<Address>,
    #[serde(deserialize_with = "flag")]
    redis_cluster: bool,
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000>")]
    redis_pool_size: usize,
    #[serde(deserialize_with = "timeout")]
    redis_timeout_seconds: Duration,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
enum Address {
    /// One or more servers with the same scheme.
    Servers(Vec<Secret>),
    Sentinel(Sentinel),
}

impl RedisVariables {
    pub(super) fn check(self) -> Result<Option<RedisSettings>, SettingError> {
        let target = match (self.redis_url, self.redis_cluster) {
            (None, false) => return Ok(None),
            (None, true) => {
                return Err(SettingError::new("REDIS_CLUSTER is true without REDIS_URL; set REDIS_URL too"));
            }
            (Some(Address::Servers(urls)), true) => RedisTarget::Cluster { urls },
            (Some(Address::Servers(urls)), false) => match <[Secret; 1]>::try_from(urls) {
                Ok([url]) => RedisTarget::Single { url },
                Err(_) => {
                    return Err(SettingError::new(
                        "REDIS_URL names several servers; set REDIS_CLUSTER=true, or write redis+sentinel:// for \
                         Sentinel",
                    ));
                }
            },
            (Some(Address::Sentinel(sentinel)), false) => RedisTarget::Sentinel(sentinel),
            (Some(Address::Sentinel(_)), true) => {
                return Err(SettingError::new("REDIS_CLUSTER is true and REDIS_URL names Sentinels; use one of them"));
            }
        };
        Ok(Some(RedisSettings { target, pool_size: self.redis_pool_size, timeout: self.redis_timeout_seconds }))
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
        match scheme {
            "redis" | "rediss" => servers(scheme, rest),
            "redis+sentinel" | "rediss+sentinel" => sentinel(rest, scheme.starts_with("rediss")),
            _ => None,
        }
        .ok_or_else(|| FORMS.to_owned())
    }
}

/// From 0.01 to 60 seconds.
fn timeout<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    let micros = fine_seconds(value).ok().filter(|micros| (10_000..=60_000_000).contains(micros));
    micros
        .map(|micros| Duration::from_micros(micros.unsigned_abs()))
        .ok_or_else(|| D::Error::custom("must be a number of seconds from 0.01 to 60"))
}

/// Parses `user:password@host:port,host:port/database`: all servers have the same login and database.
fn servers(scheme: &str, rest: &str) -> Option<Address> {
    let (login, rest) = split_login(rest);
    let (hosts, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let login = login.map(|login| format!("{login}@")).unwrap_or_default();
    let database = path.split('?').next().unwrap_or_default().trim_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return None;
    }
    let urls: Vec<String> = elements(hosts).map(|host| format!("{scheme}://{login}{host}{path}")).collect();
    let valid =
        !urls.is_empty() && urls.iter().all(|url| is_url(url, &[scheme])) && elements(hosts).all(has_valid_port);
    valid.then(|| Address::Servers(urls.into_iter().map(Secret::new).collect()))
}

/// Parses `user:password@host:port,host:port/master/database`.
fn sentinel(rest: &str, tls: bool) -> Option<Address> {
    let (login, rest) = split_login(rest);
    let mut parts = rest.split('/');
    let hosts: Vec<&str> = elements(parts.next()?).collect();
    let master = parts.next().filter(|name| !name.is_empty())?.to_owned();
    let database = parts.next().filter(|part| !part.is_empty()).map_or(Some(0), |part| part.parse().ok())?;
    if hosts.is_empty() || parts.next().is_some() || !hosts.iter().all(|host| has_valid_port(host)) {
        return None;
    }
    let (username, password) = match login.map(|login| login.split_once(':').unwrap_or(("", login))) {
        Some((username, password)) => {
            (Some(username.to_owned()).filter(|name| !name.is_empty()), Some(Secret::new(password)))
        }
        None => (None, None),
    };
    let hosts = hosts.into_iter().map(|host| match port_of(host) {
        Some(_) => host.to_owned(),
        None => format!("{host}:{SENTINEL_PORT}"),
    });
    Some(Address::Sentinel(Sentinel { hosts: hosts.collect(), master, database, username, password, tls }))
}

fn split_login(rest: &str) -> (Option<&str>, &str) {
    rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest))
}

/// Returns the port of `host:port` or `[::1]:port`, as text.
fn port_of(host: &str) -> Option<&str> {
    let (host, port) = host.rsplit_once(':')?;
    (!host.starts_with('[') || host.ends_with(']')).then_some(port)
}

/// Returns true when the port is missing or a number from 1 to 65535.
fn has_valid_port(host: &str) -> bool {
    !host.starts_with(':') && port_of(host).is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(redis_url: Option<Address>, redis_cluster: bool) -> RedisVariables {
        let redis_timeout_seconds = Duration::from_millis(250);
        RedisVariables { redis_url, redis_cluster, redis_pool_size: 8, redis_timeout_seconds }
    }

    fn target(url: &str, redis_cluster: bool) -> Result<RedisTarget, String> {
        let checked = variables(Some(url.to_owned().try_into()?), redis_cluster).check();
        checked.map_err(|error| error.to_string())?.map(|redis| redis.target).ok_or_else(|| "no Redis".to_owned())
    }

    #[test]
    fn addresses_of_all_kinds_are_parsed() {
        let single = |url: &str| Ok(RedisTarget::Single { url: Secret::new(url) });
        for url in ["redis://localhost", "rediss://:p@ss@h:6380/2", "redis://u:p@[::1]:6379/0?protocol=resp3"] {
            assert_eq!(target(url, false), single(url));
        }
        let urls = ["redis://u:p@a:1/", "redis://u:p@b:2/"].map(Secret::new).to_vec();
        assert_eq!(target("redis://u:p@a:1,b:2/", true), Ok(RedisTarget::Cluster { urls }));
        let sentinel = Sentinel {
            hosts: vec!["a:26379".to_owned(), "b:7".to_owned(), "[::1]:26379".to_owned()],
            master: "main".to_owned(),
            database: 3,
            username: None,
            password: Some(Secret::new("p")),
            tls: true,
        };
        assert_eq!(target("rediss+sentinel://:p@a,b:7,[::1]/main/3", false), Ok(RedisTarget::Sentinel(sentinel)));
    }

    #[test]
    fn wrong_address_error_lists_the_forms() {
        for url in [
            "localhost:6379",
            "http://h",
            "redis://",
            "redis://h:x",
            "redis://h:0",
            "redis://h/name",
            "redis+sentinel://a,b",
            "redis+sentinel://a/m/x",
            "redis+sentinel:///m",
            "redis+sentinel://a/m/0/1",
        ] {
            assert_eq!(target(url, false), Err(FORMS.to_owned()), "{url}");
        }
        let error = target("redis://a,b", false).expect_err("two servers");
        assert!(error.contains("REDIS_CLUSTER=true"), "{error}");
        let error = target("redis+sentinel://a/m", true).expect_err("both");
        assert!(error.contains("use one of them"), "{error}");
        assert!(variables(None, true).check().is_err());
    }
}
