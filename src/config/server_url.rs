//! The address of a database server as SQLAlchemy reads it: `user:password@host:port/name?parameters`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::url_parameters;

/// Letters that stay as they are in a name or a password.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Letters that stay as they are in a parameter.
const PARAMETER: &AsciiSet = &PLAIN.remove(b'/').remove(b':').remove(b',');

/// The parts of an address, decoded. An empty part is missing.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct ServerUrl {
    pub user: String,
    pub password: Option<String>,
    /// Without brackets.
    pub host: String,
    pub port: Option<u16>,
    pub name: String,
    /// In the order of the address.
    pub parameters: Vec<(String, String)>,
}

impl ServerUrl {
    /// Parses what follows `scheme://`. None: not an address. A password may contain all characters except `@`, which must be
    /// percent-encoded.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (login, rest) = split_login(text);
        // A second `@` is one of the password: what follows the first must not become a host, which messages name.
        if rest.contains('@') {
            return None;
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_port(server)?;
        let is_readable = |c: char| !c.is_whitespace() && !c.is_control() && !"#\\".contains(c);
        if !host.chars().all(is_readable) {
            return None;
        }
        let (user, password) = login.map_or((None, None), |(user, password)| (Some(user), password));
        let port = if port.is_empty() { None } else { Some(port.parse().ok().filter(|port| *port > 0)?) };
        Some(Self {
            user: user.map_or(Some(String::new()), decoded)?,
            password: password.map_or(Some(None), |it| decoded(it).map(Some))?,
            host: decoded(host)?,
            port,
            name: decoded(name)?,
            parameters: url_parameters::parsed(query)?,
        })
    }

    /// The address with everything percent-encoded that a parser could read in two ways.
    pub(super) fn to_text(&self, scheme: &str) -> String {
        let mut text = format!("{scheme}://");
        if !self.user.is_empty() || self.password.is_some() {
            text.push_str(&encoded(&self.user));
            if let Some(password) = &self.password {
                text.push(':');
                text.push_str(&encoded(password));
            }
            text.push('@');
        }
        let is_incomplete = text.ends_with('@') || self.port.is_some();
        match self.host.as_str() {
            // A URL with a user or a port must have a host.
            "" if is_incomplete => text.push_str("localhost"),
            host if host.contains(':') => text.extend([format!("[{host}]")]),
            host if host.starts_with('/') => text.push_str(&encoded(host)),
            host => text.push_str(host),
        }
        if let Some(port) = self.port {
            text.extend([format!(":{port}")]);
        }
        text.push('/');
        text.push_str(&encoded(&self.name));
        for (i, (name, value)) in self.parameters.iter().enumerate() {
            let sign = if i == 0 { '?' } else { '&' };
            text.extend([format!("{sign}{name}={}", utf8_percent_encode(value, PARAMETER))]);
        }
        text
    }
}

/// A user without and with a password.
type Login<'a> = (&'a str, Option<&'a str>);

/// The user ends at the first `:`, `/` or `@`, and the password at the first `@` behind it.
fn split_login(text: &str) -> (Option<Login<'_>>, &str) {
    let Some(end) = text.find([':', '/', '@', '?']) else { return (None, text) };
    let after = &text[end + 1..];
    match text.as_bytes()[end] {
        b'@' => (Some((&text[..end], None)), after),
        b':' if !text.starts_with('[') => match after.split_once('@') {
            Some((password, rest)) => (Some((&text[..end], Some(password))), rest),
            None => (None, text),
        },
        _ => (None, text),
    }
}

/// Splits `host:port` or `[::1]:port`.
fn split_port(server: &str) -> Option<(&str, &str)> {
    if let Some(rest) = server.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return Some((host, if port.is_empty() { port } else { port.strip_prefix(':')? }));
    }
    let (host, port) = server.split_once(':').unwrap_or((server, ""));
    (!port.contains(':')).then_some((host, port))
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_in_sqlalchemy() {
        for (text, canonical) in [
            ("u:p@h:5432/d", "x://u:p@h:5432/d"),
            ("h/d", "x://h/d"),
            ("h:5432", "x://h:5432/"),
            ("u@[::1]/d", "x://u@[::1]/d"),
            ("[::1]:7/d", "x://[::1]:7/d"),
            ("u:p%40@[::1]:5432/d?sslmode=require", "x://u:p%40@[::1]:5432/d?sslmode=require"),
            ("/d?host=/run/postgresql", "x:///d?host=/run/postgresql"),
            ("u:p@/d?unix_socket=%2Frun%2Fa.sock&x=a+b", "x://u:p@localhost/d?unix_socket=/run/a.sock&x=a%20b"),
            ("u:p/a?s#s:w@h/d", "x://u:p%2Fa%3Fs%23s%3Aw@h/d"),
            ("u:@h/d", "x://u:@h/d"),
            ("%2Frun%2Fpostgresql/d", "x://%2Frun%2Fpostgresql/d"),
            ("u:p w@h/d", "x://u:p%20w@h/d"),
        ] {
            let parsed = ServerUrl::parse(text).expect(text).to_text("x");
            assert_eq!(parsed, canonical, "{text}");
            let again = ServerUrl::parse(parsed.trim_start_matches("x://")).expect(text).to_text("x");
            assert_eq!(again, canonical, "{text}");
        }
    }

    #[test]
    fn texts_with_several_meanings_are_no_address() {
        for wrong in [
            "u:p@h:port/d",
            "u:p@w@h/d",
            "u:p@s?w@h/d",
            "u:p@s/w@h",
            "h:0/d",
            "h:70000",
            "2001:db8::1/d",
            "u:p@h h/d",
            "u:p@h#/d",
            "u:%ff@h/d",
        ] {
            assert!(ServerUrl::parse(wrong).is_none(), "{wrong}");
        }
    }
}
