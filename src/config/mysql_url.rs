//! Addresses of MySQL and MariaDB, with the parameters of PyMySQL, mysqlclient and asyncmy.

use super::server_url::ServerUrl;
use super::url_parameters::{is_true, readable, refuse_others, take, take_one};

const FORM: &str = "is not a MySQL address; write mysql://user:password@host:3306/name, and percent-encode special characters \
                    of the password (%40 for @)";
const SUPPORTED: &str = "unix_socket, host, port, user, password, database, ssl_ca, ssl_cert, ssl_key, ssl_mode, \
                         ssl_check_hostname, ssl_verify_cert, ssl_verify_identity, ssl_disabled";
const MODES: [&str; 5] = ["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"];

/// Parameters that change nothing: an import reads all text as UTF-8 and writes nothing.
const WITHOUT_EFFECT: &[&str] = &[
    "charset",
    "collation",
    "use_unicode",
    "connect_timeout",
    "read_timeout",
    "write_timeout",
    "autocommit",
    "local_infile",
    "init_command",
    "sql_mode",
    "program_name",
    "max_allowed_packet",
    "compress",
    "client_flag",
    "binary_prefix",
];

/// Returns the address in the form that the driver reads: `rest` follows `mysql://`. The error continues a sentence that
/// begins with the setting's name, and never quotes the address, which is a secret.
pub(super) fn normalized(rest: &str) -> Result<String, String> {
    let mut url = ServerUrl::parse(rest).ok_or(FORM)?;
    let given = &mut url.parameters;
    take(given, WITHOUT_EFFECT);
    url.host = take_one(given, &["host"])?.unwrap_or(url.host);
    if let Some(port) = take_one(given, &["port"])? {
        url.port = Some(port.parse().ok().filter(|port| *port > 0).ok_or(FORM)?);
    }
    url.user = take_one(given, &["user", "username"])?.unwrap_or(url.user);
    url.password = take_one(given, &["password", "passwd"])?.or(url.password);
    url.name = take_one(given, &["database", "db"])?.unwrap_or(url.name);
    let mut parameters = tls(given)?;
    parameters.extend(take_one(given, &["unix_socket", "socket"])?.map(|path| ("socket", path)));
    refuse_others(given, SUPPORTED)?;
    if url.host.is_empty() {
        url.host = "localhost".to_owned();
    }
    url.parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(url.to_text("mysql"))
}

/// Returns the parameters of TLS. PyMySQL checks the server's name if there is a certificate authority to check it with.
fn tls(given: &mut Vec<(String, String)>) -> Result<Vec<(&'static str, String)>, String> {
    let mut flag = |name: &str| take_one(given, &[name]).map(|value| value.map(|value| is_true(&value)));
    let (on, disabled) = (flag("ssl")?, flag("ssl_disabled")?.unwrap_or(false));
    let (check_host, verify_host) = (flag("ssl_check_hostname")?, flag("ssl_verify_identity")?);
    let verify = flag("ssl_verify_cert")?;
    let given_mode = take_one(given, &["ssl_mode", "sslmode"])?.map(|mode| mode.to_ascii_uppercase().replace('-', "_"));
    if let Some(mode) = given_mode.as_ref().filter(|mode| !MODES.contains(&mode.as_str())) {
        return Err(format!("has ssl_mode {mode:?}; write one of {}", MODES.join(", ")));
    }
    let mut parameters = Vec::new();
    for (name, parameter, others) in [
        ("ssl_ca", "ssl-ca", &["ssl_ca", "sslca"]),
        ("ssl_cert", "ssl-cert", &["ssl_cert", "sslcert"]),
        ("ssl_key", "ssl-key", &["ssl_key", "sslkey"]),
    ] {
        if let Some(path) = take_one(given, others)? {
            readable(name, &path)?;
            parameters.push((parameter, path));
        }
    }
    let has_ca = parameters.iter().any(|(name, _)| *name == "ssl-ca");
    let mode = match given_mode {
        Some(mode) => Some(mode),
        None if disabled => Some("DISABLED".to_owned()),
        None if verify_host == Some(true) => Some("VERIFY_IDENTITY".to_owned()),
        None if has_ca && verify != Some(false) => {
            let is_by_name = check_host.or(verify_host).unwrap_or(true);
            Some(if is_by_name { "VERIFY_IDENTITY" } else { "VERIFY_CA" }.to_owned())
        }
        None if verify == Some(true) => Some("VERIFY_CA".to_owned()),
        None if on == Some(true) || !parameters.is_empty() => Some("REQUIRED".to_owned()),
        None => None,
    };
    parameters.extend(mode.map(|mode| ("ssl-mode", mode)));
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_python_drivers_are_honoured() {
        for (rest, url) in [
            ("root:s3cret@db:3306/panel", "root:s3cret@db:3306/panel"),
            ("u:p@h/d?charset=utf8mb4&connect_timeout=5", "u:p@h/d"),
            ("u:p@/d?unix_socket=/run/mysqld/mysqld.sock", "u:p@localhost/d?socket=/run/mysqld/mysqld.sock"),
            ("u:p@localhost/d?unix_socket=/run/m.sock", "u:p@localhost/d?socket=/run/m.sock"),
            ("u:p#/w@h/d", "u:p%23%2Fw@h/d"),
            ("u:p@h/d?ssl_ca=/dev/null", "u:p@h/d?ssl-ca=/dev/null&ssl-mode=VERIFY_IDENTITY"),
            ("u:p@h/d?ssl_ca=/dev/null&ssl_check_hostname=false", "u:p@h/d?ssl-ca=/dev/null&ssl-mode=VERIFY_CA"),
            ("u:p@h/d?ssl_ca=/dev/null&ssl_verify_cert=false", "u:p@h/d?ssl-ca=/dev/null&ssl-mode=REQUIRED"),
            ("u:p@h/d?ssl-mode=verify_ca", "u:p@h/d?ssl-mode=VERIFY_CA"),
            ("u:p@h/d?ssl=true", "u:p@h/d?ssl-mode=REQUIRED"),
            ("u:p@h/d?ssl_disabled=True", "u:p@h/d?ssl-mode=DISABLED"),
            ("h/?user=u&passwd=p&db=d&port=7", "u:p@h:7/d"),
        ] {
            assert_eq!(normalized(rest), Ok(format!("mysql://{url}")), "{rest}");
        }
    }

    #[test]
    fn other_parameters_are_refused_by_name() {
        for (rest, part) in [
            ("h/d?ssl_capath=/etc/ssl", "\"ssl_capath\""),
            ("h/d?ssl_cipher=x", "\"ssl_cipher\""),
            ("h/d?read_default_file=/root/.my.cnf", "\"read_default_file\""),
            ("h/d?ssl_ca=/nowhere", "ssl_ca that can't be read: \"/nowhere\""),
            ("h/d?ssl_mode=maybe", "ssl_mode \"MAYBE\""),
            ("u:p@w@h/d", "percent-encode"),
        ] {
            let error = normalized(rest).expect_err(rest);
            assert!(error.contains(part), "{rest}: {error}");
        }
    }
}
