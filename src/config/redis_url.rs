//! Addresses of Redis, with the parameters of redis-py.

use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;

use super::secret::Secret;
use super::url_parameters::{is_true, parsed, readable, refuse_others, take, take_one};
use super::values::{elements, is_url};

const SENTINEL_PORT: &str = "26379";
pub(super) const FORMS: &str = "must be redis://host:6379/0, rediss:// for TLS, unix:///run/redis.sock?db=0, or \
     redis+sentinel://host1,host2,host3/master/0; percent-encode special characters of the password (%2F for /, %23 for #, \
     %3F for ?, %40 for @)";
const SUPPORTED: &str = "db, protocol, username, password, ssl_ca_certs, ssl_certfile, ssl_keyfile";

/// Parameters that change nothing: the panel has its own time limits, pool and text encoding.
const WITHOUT_EFFECT: &[&str] = &[
    "socket_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_read_size",
    "health_check_interval",
    "retry_on_timeout",
    "max_connections",
    "timeout",
    "client_name",
    "decode_responses",
    "encoding",
    "encoding_errors",
];

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

/// A parsed address.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct RedisUrl {
    pub servers: Servers,
    /// `ssl_ca_certs`.
    pub authorities: Option<PathBuf>,
    /// `ssl_certfile` and `ssl_keyfile`.
    pub client: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug)]
pub(super) enum Servers {
    /// One or more servers with the same scheme.
    Urls(Vec<Secret>),
    /// A server's socket, as an address.
    Socket(Secret),
    Sentinel(Sentinel),
}

/// Parameters of any address.
#[derive(Default)]
struct Parameters {
    database: Option<u32>,
    protocol: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl TryFrom<String> for RedisUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(FORMS)?;
        let scheme = scheme.to_ascii_lowercase();
        let (address, query) = split_query(rest)?;
        let mut given = parsed(query).ok_or(FORMS)?;
        take(&mut given, WITHOUT_EFFECT);
        check_verification(&mut given)?;
        let authorities = file(&mut given, "ssl_ca_certs")?;
        let client = match (file(&mut given, "ssl_certfile")?, file(&mut given, "ssl_keyfile")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("has one of ssl_certfile and ssl_keyfile; give both or neither".to_owned()),
        };
        if (authorities.is_some() || client.is_some()) && !scheme.starts_with("rediss") {
            return Err("has certificates for TLS, and uses no TLS; write rediss:// in place of redis://".to_owned());
        }
        let database = take_one(&mut given, &["db"])?;
        let parameters = Parameters {
            database: database.map(|text| text.parse().map_err(|_| FORMS)).transpose()?,
            protocol: take_one(&mut given, &["protocol"])?,
            username: take_one(&mut given, &["username", "user"])?,
            password: take_one(&mut given, &["password", "pass"])?,
        };
        refuse_others(&given, SUPPORTED)?;
        let servers = match scheme.as_str() {
            "redis" | "rediss" => servers(&scheme, address, &parameters),
            "unix" | "redis+unix" => socket(address, &parameters),
            "redis+sentinel" | "rediss+sentinel" => sentinel(address, scheme.starts_with("rediss"), parameters),
            _ => None,
        };
        Ok(Self { servers: servers.ok_or(FORMS)?, authorities, client })
    }
}

/// Splits the address from its parameters. A `/`, `#` or `?` before an `@` is one of a password, and cuts it off.
fn split_query(rest: &str) -> Result<(&str, &str), String> {
    let server = rest.find(['/', '#', '?']).unwrap_or(rest.len());
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_socket_with_login = rest.starts_with('/');
    if rest.contains('#') || (!is_socket_with_login && rest[server..].contains('@')) {
        return Err(FORMS.to_owned());
    }
    Ok((address, query))
}

/// Refuses to trust any server; the certificate of one's own can be named instead.
fn check_verification(given: &mut Vec<(String, String)>) -> Result<(), String> {
    for (name, is_safe) in [
        ("ssl_cert_reqs", (|value: &str| value.eq_ignore_ascii_case("required")) as fn(&str) -> bool),
        ("ssl_check_hostname", is_true),
    ] {
        if take(given, &[name]).iter().any(|value| !is_safe(value)) {
            return Err(format!(
                "turns the check of the server's certificate off ({name}), which is not supported; remove it, and name the \
                 file of the certificate, or of the authority that signed it, in REDIS_CA_FILE"
            ));
        }
    }
    Ok(())
}

fn file(given: &mut Vec<(String, String)>, name: &str) -> Result<Option<PathBuf>, String> {
    let Some(path) = take_one(given, &[name])? else { return Ok(None) };
    readable(name, &path)?;
    Ok(Some(PathBuf::from(path)))
}

/// Parses `user:password@host:port,host:port/database`: all servers have the same login and database.
fn servers(scheme: &str, address: &str, parameters: &Parameters) -> Option<Servers> {
    let (login, rest) = split_login(address);
    let (hosts, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let login = match (login, &parameters.username, &parameters.password) {
        (Some(login), None, None) => format!("{login}@"),
        (None, None, None) => String::new(),
        (None, username, password) => {
            let [username, password] = [username, password].map(|text| encoded(text.as_deref().unwrap_or_default()));
            format!("{username}:{password}@")
        }
        (Some(_), _, _) => return None,
    };
    let database = path.trim_matches('/');
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return None;
    }
    let path = parameters.database.map_or_else(|| path.to_owned(), |database| format!("/{database}"));
    let query = parameters.protocol.as_ref().map(|protocol| format!("?protocol={}", encoded(protocol)));
    let query = query.unwrap_or_default();
    let urls: Vec<String> = elements(hosts).map(|host| format!("{scheme}://{login}{host}{path}{query}")).collect();
    let valid =
        !urls.is_empty() && urls.iter().all(|url| is_url(url, &[scheme])) && elements(hosts).all(has_valid_port);
    valid.then(|| Servers::Urls(urls.into_iter().map(Secret::new).collect()))
}

/// Parses `/run/redis.sock` or `user:password@/run/redis.sock`.
fn socket(address: &str, parameters: &Parameters) -> Option<Servers> {
    let (login, path) = if address.starts_with('/') { (None, address) } else { split_login(address) };
    let path = decoded(path)?;
    if !path.starts_with('/') || path.ends_with('/') {
        return None;
    }
    let (username, password) = login.map_or(("", ""), |login| login.split_once(':').unwrap_or((login, "")));
    let username = parameters.username.clone().or_else(|| decoded(username))?;
    let password = parameters.password.clone().or_else(|| decoded(password))?;
    let mut url = format!(
        "unix://{}?db={}",
        path.split('/').map(encoded).collect::<Vec<_>>().join("/"),
        parameters.database.unwrap_or(0)
    );
    for (name, value) in [("user", &username), ("pass", &password)] {
        if !value.is_empty() {
            url.extend([format!("&{name}={}", encoded(value))]);
        }
    }
    if let Some(protocol) = &parameters.protocol {
        url.extend([format!("&protocol={}", encoded(protocol))]);
    }
    Some(Servers::Socket(Secret::new(url)))
}

/// Parses `user:password@host:port,host:port/master/database`.
fn sentinel(address: &str, tls: bool, parameters: Parameters) -> Option<Servers> {
    let (login, rest) = split_login(address);
    let mut parts = rest.split('/');
    let hosts: Vec<&str> = elements(parts.next()?).collect();
    let master = parts.next().filter(|name| !name.is_empty())?.to_owned();
    let database = parts.next().filter(|part| !part.is_empty()).map_or(Some(0), |part| part.parse().ok())?;
    let is_complete = parts.next().is_none() && parameters.protocol.is_none();
    if hosts.is_empty() || !is_complete || !hosts.iter().all(|host| has_valid_port(host)) {
        return None;
    }
    let (username, password) = match login.map(|login| login.split_once(':').unwrap_or(("", login))) {
        Some((username, password)) => {
            (Some(decoded(username)?).filter(|name| !name.is_empty()), Some(decoded(password)?))
        }
        None => (None, None),
    };
    let hosts = hosts.into_iter().map(|host| match port_of(host) {
        Some(_) => host.to_owned(),
        None => format!("{host}:{SENTINEL_PORT}"),
    });
    Some(Servers::Sentinel(Sentinel {
        hosts: hosts.collect(),
        master,
        database: parameters.database.unwrap_or(database),
        username: parameters.username.or(username),
        password: parameters.password.or(password).map(Secret::new),
        tls,
    }))
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

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn encoded(text: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(text, PLAIN).to_string()
}
