//! Addresses of PostgreSQL, with the parameters of libpq, psycopg and asyncpg.

use super::server_url::ServerUrl;
use super::url_parameters::{readable, refuse_others, take, take_one};

const FORM: &str = "is not a PostgreSQL address; write postgresql://user:password@host:5432/name, and percent-encode special \
                    characters of the password (%40 for @, %2F for /)";
const SUPPORTED: &str =
    "sslmode, sslrootcert, sslcert, sslkey, ssl, host, hostaddr, port, dbname, user, password, options";
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Parameters that change nothing: the panel has its own time limits, name and text encoding.
const WITHOUT_EFFECT: &[&str] = &[
    "application_name",
    "fallback_application_name",
    "connect_timeout",
    "timeout",
    "command_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "client_encoding",
    "async_fallback",
    "sslcompression",
    "sslsni",
];

/// Returns the address in the form that the driver reads: `rest` follows `postgresql://`. The error continues a sentence that
/// begins with the setting's name, and never quotes the address, which is a secret.
pub(super) fn normalized(rest: &str) -> Result<String, String> {
    if is_list(rest) {
        return Err(SEVERAL.to_owned());
    }
    let mut url = ServerUrl::parse(rest).ok_or(FORM)?;
    let given = &mut url.parameters;
    take(given, WITHOUT_EFFECT);
    refuse_values(given)?;
    let mut hosts = take(given, &["host", "hostaddr"]);
    if hosts.len() > 1 || hosts.iter().any(|host| host.contains(',')) {
        return Err(SEVERAL.to_owned());
    }
    let socket = hosts.pop_if(|host| host.starts_with('/'));
    let port = take_one(given, &["port"])?;
    if let Some(host) = hosts.pop() {
        let server = ServerUrl::parse(&host).ok_or(FORM)?;
        (url.host, url.port) = (server.host, server.port.or(url.port));
    }
    if let Some(port) = port {
        url.port = Some(port.parse().ok().filter(|port| *port > 0).ok_or(FORM)?);
    }
    url.user = take_one(given, &["user"])?.unwrap_or(url.user);
    url.password = take_one(given, &["password"])?.or(url.password);
    url.name = take_one(given, &["dbname", "database"])?.unwrap_or(url.name);
    let mut parameters = tls(given)?;
    parameters.extend(socket.map(|folder| ("host", folder)));
    parameters.extend(take(given, &["options"]).into_iter().map(|options| ("options", options)));
    refuse_others(given, SUPPORTED)?;
    url.parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(url.to_text("postgresql"))
}

const SEVERAL: &str =
    "names several hosts, and Sarban connects to one; name the primary, or an address that follows it";

/// True for `user@h1:5432,h2:5432/name`.
fn is_list(rest: &str) -> bool {
    let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
    server.split(['/', '?']).next().is_some_and(|server| server.contains(','))
}

/// Refuses what this driver can't do, and removes values that ask for nothing else.
fn refuse_values(given: &mut Vec<(String, String)>) -> Result<(), String> {
    for (name, harmless) in [
        ("channel_binding", &["disable", "prefer"][..]),
        ("gssencmode", &["disable", "prefer"]),
        ("target_session_attrs", &["any", "read-write", "primary"]),
        ("load_balance_hosts", &["disable"]),
    ] {
        for value in take(given, &[name]) {
            if !harmless.contains(&value.as_str()) {
                return Err(format!("has {name}={value}, which is not supported; remove it"));
            }
        }
    }
    for cache in ["prepared_statement_cache_size", "statement_cache_size", "statement_cache_capacity"] {
        if !take(given, &[cache]).is_empty() {
            return Err(format!("has the parameter {cache}; remove it, and set DATABASE_STATEMENT_CACHE"));
        }
    }
    Ok(())
}

/// Returns the parameters of TLS.
fn tls(given: &mut Vec<(String, String)>) -> Result<Vec<(&'static str, String)>, String> {
    let asyncpg = take_one(given, &["ssl"])?;
    let mode = take_one(given, &["sslmode", "ssl_mode"])?.or(asyncpg);
    let mode = mode.map(|mode| match mode.to_ascii_lowercase().as_str() {
        "true" => "require".to_owned(),
        "false" => "disable".to_owned(),
        other => other.to_owned(),
    });
    if let Some(mode) = mode.as_ref().filter(|mode| !MODES.contains(&mode.as_str())) {
        return Err(format!("has sslmode {mode:?}; write one of {}", MODES.join(", ")));
    }
    let files = [
        ("sslrootcert", take_one(given, &["sslrootcert", "ssl_root_cert", "ssl_ca"])?),
        ("sslcert", take_one(given, &["sslcert", "ssl_cert"])?),
        ("sslkey", take_one(given, &["sslkey", "ssl_key"])?),
    ];
    let mut parameters = Vec::new();
    let mut mode = mode;
    for (name, path) in files {
        let Some(path) = path else { continue };
        if name == "sslrootcert" && path == "system" {
            // The certificate authorities of the web, which the driver uses without a file.
            mode = Some("verify-full".to_owned());
            continue;
        }
        readable(name, &path)?;
        // libpq checks the server's certificate if there is a file to check it with.
        if name == "sslrootcert" && mode.as_deref() == Some("require") {
            mode = Some("verify-ca".to_owned());
        }
        parameters.push((name, path));
    }
    parameters.extend(mode.map(|mode| ("sslmode", mode)));
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_python_drivers_are_honoured() {
        for (rest, url) in [
            ("u:p@h/d", "u:p@h/d"),
            ("u:p@h/d?ssl=require", "u:p@h/d?sslmode=require"),
            ("u:p@h/d?ssl=true&async_fallback=true", "u:p@h/d?sslmode=require"),
            ("u:p@h/d?sslmode=verify-full&sslrootcert=/dev/null", "u:p@h/d?sslrootcert=/dev/null&sslmode=verify-full"),
            ("h/d?sslmode=require&sslrootcert=/dev/null", "h/d?sslrootcert=/dev/null&sslmode=verify-ca"),
            ("h/d?sslrootcert=system", "h/d?sslmode=verify-full"),
            ("u:p@/d?host=/var/run/postgresql&port=5433", "u:p@localhost:5433/d?host=/var/run/postgresql"),
            ("/d?host=db.example:5433&user=u&password=p", "u:p@db.example:5433/d"),
            ("h/d?options=-csearch_path%3Dpanel", "h/d?options=-csearch_path%3Dpanel"),
            ("h/d?connect_timeout=5&application_name=x&target_session_attrs=read-write", "h/d"),
        ] {
            assert_eq!(normalized(rest), Ok(format!("postgresql://{url}")), "{rest}");
        }
    }

    #[test]
    fn other_parameters_are_refused_by_name() {
        for (rest, part) in [
            ("h1:5432,h2:5432/d", "several hosts"),
            ("u:p@h1,h2/d", "several hosts"),
            ("u:p@/d?host=h1&host=h2", "several hosts"),
            ("/d?host=h1,h2", "several hosts"),
            ("h/d?sslmode=yes", "sslmode \"yes\""),
            ("h/d?sslrootcert=/nowhere/ca.pem", "sslrootcert that can't be read: \"/nowhere/ca.pem\""),
            ("h/d?channel_binding=require", "channel_binding=require"),
            ("h/d?prepared_statement_cache_size=0", "DATABASE_STATEMENT_CACHE"),
            ("h/d?sslcrl=/x", "\"sslcrl\""),
            ("h/d?pgbouncer=true", "\"pgbouncer\""),
            ("h/d?port=x", "percent-encode"),
        ] {
            let error = normalized(rest).expect_err(rest);
            assert!(error.contains(part), "{rest}: {error}");
        }
    }
}
