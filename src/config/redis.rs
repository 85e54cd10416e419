//! Settings of Redis: its address (one server, a Redis Cluster, or a master behind Sentinels) and its connection pool.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::errors::SettingError;
pub use super::redis_url::Sentinel;
use super::redis_url::{RedisUrl, Servers};
use super::secret::Secret;
use super::values::{fine_seconds, flag, whole};

/// The Redis that the panels of a cluster share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// The address.
    pub target: RedisTarget,
    /// Maximum number of connections in the pool of this process.
    pub pool_size: usize,
    /// Time limit of one command, including the wait for a connection.
    pub timeout: Duration,
    /// Certificates for TLS.
    pub tls: RedisTls,
}

/// Certificates for TLS with Redis, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// Certificates of the authorities that servers are checked with; none: those of the system.
    pub authorities: Option<String>,
    /// Certificate and key of the panel.
    pub client: Option<(String, Secret)>,
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

#[derive(Deserialize)]
pub(super) struct RedisVariables {
    redis_url: Option<RedisUrl>,
    redis_ca_file: Option<PathBuf>,
    #[serde(deserialize_with = "flag")]
    redis_cluster: bool,
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000>")]
    redis_pool_size: usize,
    #[serde(deserialize_with = "timeout")]
    redis_timeout_seconds: Duration,
}

impl RedisVariables {
    pub(super) fn check(self) -> Result<Option<RedisSettings>, SettingError> {
        let Some(url) = self.redis_url else {
            return match (self.redis_cluster, self.redis_ca_file) {
                (false, None) => Ok(None),
                (true, _) => Err(SettingError::new("REDIS_CLUSTER is true without REDIS_URL; set REDIS_URL too")),
                (false, Some(_)) => Err(SettingError::new("REDIS_CA_FILE is set without REDIS_URL; set REDIS_URL too")),
            };
        };
        let authorities = match (self.redis_ca_file, url.authorities) {
            (Some(_), Some(_)) => {
                return Err(SettingError::new("REDIS_CA_FILE is set, and REDIS_URL has ssl_ca_certs; use one of them"));
            }
            (Some(file), None) if url.servers.use_tls() => Some(("REDIS_CA_FILE", file)),
            (Some(_), None) => {
                return Err(SettingError::new(
                    "REDIS_CA_FILE is set, and REDIS_URL uses no TLS; write rediss:// in place of redis://",
                ));
            }
            (None, file) => file.map(|file| ("REDIS_URL", file)),
        };
        let authorities = authorities.map(|(setting, file)| read(setting, &file)).transpose()?;
        let client = match url.client {
            Some((certificate, key)) => Some((read("REDIS_URL", &certificate)?, Secret::new(read("REDIS_URL", &key)?))),
            None => None,
        };
        let target = target(url.servers, self.redis_cluster)?;
        let tls = RedisTls { authorities, client };
        Ok(Some(RedisSettings { target, pool_size: self.redis_pool_size, timeout: self.redis_timeout_seconds, tls }))
    }
}

fn target(servers: Servers, is_cluster: bool) -> Result<RedisTarget, SettingError> {
    match (servers, is_cluster) {
        (Servers::Urls(urls), true) => Ok(RedisTarget::Cluster { urls }),
        (Servers::Urls(urls), false) => match <[Secret; 1]>::try_from(urls) {
            Ok([url]) => Ok(RedisTarget::Single { url }),
            Err(_) => Err(SettingError::new(
                "REDIS_URL names several servers; set REDIS_CLUSTER=true, or write redis+sentinel:// for Sentinel",
            )),
        },
        (Servers::Socket(url), false) => Ok(RedisTarget::Single { url }),
        (Servers::Sentinel(sentinel), false) => Ok(RedisTarget::Sentinel(sentinel)),
        (Servers::Socket(_), true) => {
            Err(SettingError::new("REDIS_CLUSTER is true and REDIS_URL names a socket; use one of them"))
        }
        (Servers::Sentinel(_), true) => {
            Err(SettingError::new("REDIS_CLUSTER is true and REDIS_URL names Sentinels; use one of them"))
        }
    }
}

impl Servers {
    fn use_tls(&self) -> bool {
        match self {
            Self::Urls(urls) => urls.iter().all(|url| url.expose().starts_with("rediss://")),
            Self::Socket(_) => false,
            Self::Sentinel(sentinel) => sentinel.tls,
        }
    }
}

/// Reads a file in PEM.
fn read(setting: &str, file: &Path) -> Result<String, SettingError> {
    let problem = |why: &str| {
        SettingError::new(format!("{setting} must name certificates or a key in PEM: {} {why}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| problem(&format!("can't be read ({error})")))?;
    if text.contains("-----BEGIN ") { Ok(text) } else { Err(problem("has none")) }
}

/// From 0.01 to 60 seconds.
fn timeout<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    let micros = fine_seconds(value).ok().filter(|micros| (10_000..=60_000_000).contains(micros));
    micros
        .map(|micros| Duration::from_micros(micros.unsigned_abs()))
        .ok_or_else(|| D::Error::custom("must be a number of seconds from 0.01 to 60"))
}

#[cfg(test)]
mod tests {
    use super::super::redis_url::FORMS;
    use super::*;

    fn variables(redis_url: Option<RedisUrl>, redis_cluster: bool) -> RedisVariables {
        let redis_timeout_seconds = Duration::from_millis(250);
        RedisVariables { redis_url, redis_ca_file: None, redis_cluster, redis_pool_size: 8, redis_timeout_seconds }
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
    fn sockets_are_addresses() {
        for (text, url) in [
            ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
            ("redis+unix://u:p%2F@/run/re dis.sock", "unix:///run/re%20dis.sock?db=0&user=u&pass=p%2F"),
            ("unix:///run/redis.sock?password=p%26", "unix:///run/redis.sock?db=0&pass=p%26"),
        ] {
            assert_eq!(target(text, false), Ok(RedisTarget::Single { url: Secret::new(url) }), "{text}");
        }
        assert!(target("unix:///run/redis.sock", true).expect_err("a cluster").contains("a socket"));
    }

    #[test]
    fn parameters_are_honoured_or_refused_by_name() {
        let single = |url: &str| Ok(RedisTarget::Single { url: Secret::new(url) });
        assert_eq!(target("redis://h:7/3?db=1&socket_timeout=5", false), single("redis://h:7/1"));
        assert_eq!(target("REDIS://h?password=a%2Fb", false), single("redis://:a%2Fb@h"));
        for (text, part) in [
            ("rediss://h?ssl_cert_reqs=none", "ssl_cert_reqs"),
            ("rediss://h?ssl_check_hostname=false", "REDIS_CA_FILE"),
            ("rediss://h?ssl_ca_certs=/nowhere/ca", "\"/nowhere/ca\""),
            ("redis://h?ssl_ca_certs=/dev/null", "rediss://"),
            ("rediss://h?ssl_certfile=/dev/null", "ssl_keyfile"),
            ("rediss://h?ssl_ca_certs=/dev/null", "in PEM: /dev/null has none"),
            ("redis://h?foo=1", "\"foo\""),
            ("redis+sentinel://h/m?foo=1", "\"foo\""),
            ("rediss://h#insecure", "percent-encode"),
            ("redis://:pa/ss@h", "percent-encode"),
            ("redis://:pa#ss@h", "percent-encode"),
            ("redis://:pa?ss@h", "percent-encode"),
        ] {
            let error = target(text, false).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn file_of_the_authority_needs_tls() {
        let with_file = |url: Option<&str>| {
            let url = url.map(|url| url.to_owned().try_into().expect("an address"));
            RedisVariables { redis_ca_file: Some("/dev/null".into()), ..variables(url, false) }.check()
        };
        for (url, part) in [
            (None, "without REDIS_URL"),
            (Some("redis://h"), "uses no TLS"),
            (Some("rediss://h"), "REDIS_CA_FILE must name"),
        ] {
            let error = with_file(url).expect_err("wrong").to_string();
            assert!(error.contains(part), "{error}");
        }
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
