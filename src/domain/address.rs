//! The addresses of servers, as people type them and as programs read them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing, or only spaces.
    #[error("must not be empty")]
    Empty,
    /// `https://…`, `a/b`.
    #[error("must be a name or an IP address without a scheme and a path, such as example.com")]
    Url,
    /// `example.com:443`.
    #[error("must not contain a port: it has a field of its own")]
    Port,
    /// Everything else.
    #[error("must be a name such as example.com, or an IP address")]
    NotAName,
}

/// Letters of a name at most, as in DNS (RFC 1035).
const MAX_NAME: usize = 253;
/// Letters of a part of a name at most.
const MAX_LABEL: usize = 63;

/// The address without spaces around it and without brackets, with a name of other alphabets in its ASCII form
/// (RFC 5891) and an IP address in its shortest form (RFC 5952).
pub fn cleaned(text: &str) -> Result<Cow<'_, str>, AddressError> {
    let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter.is_control());
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(inside) = unbracketed {
        return inside.parse::<Ipv6Addr>().map(|ip| shortest(inside, ip.into())).map_err(|_| AddressError::NotAName);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(shortest(text, ip));
    }
    if text.contains("//") || text.contains('/') {
        return Err(AddressError::Url);
    }
    if let Some((before, port)) = text.rsplit_once(':')
        && !before.is_empty()
        && port.bytes().all(|digit| digit.is_ascii_digit())
        && (!before.contains(':') || before.ends_with(']'))
    {
        return Err(AddressError::Port);
    }
    name(text)
}

/// The name in ASCII; `_` is allowed, because DNS has such names.
pub fn name(text: &str) -> Result<Cow<'_, str>, AddressError> {
    let ascii = if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(idna::domain_to_ascii(text).map_err(|_| AddressError::NotAName)?)
    };
    let without_root = ascii.strip_suffix('.').unwrap_or(&ascii);
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // A name whose last part is a number would be read as an IPv4 address.
    let is_number = without_root.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if without_root.len() > MAX_NAME || is_number || !without_root.split('.').all(is_label) {
        return Err(AddressError::NotAName);
    }
    Ok(ascii)
}

/// The name in ASCII, whatever else it contains: `*`, a port, or a text that is no name.
pub fn ascii_name(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { idna::domain_to_ascii(text).unwrap_or_else(|_| text.to_owned()) }
}

/// True for names and addresses that only this host or its local network reaches.
pub fn is_private(address: &str) -> bool {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
        Err(_) => address.eq_ignore_ascii_case("localhost"),
    }
}

fn shortest(text: &str, ip: IpAddr) -> Cow<'_, str> {
    let short = ip.to_string();
    if short == text { Cow::Borrowed(text) } else { Cow::Owned(short) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cleaned_as_people_type_them() {
        for (typed, clean) in [
            ("h.example.com", "h.example.com"),
            (" h.example.com\n", "h.example.com"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("2001:DB8:0:0::7", "2001:db8::7"),
            (" 192.0.2.7 ", "192.0.2.7"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("سرور.example", "xn--wgbae9f.example"),
            ("_dns.example.", "_dns.example."),
            ("localhost", "localhost"),
        ] {
            assert_eq!(cleaned(typed).as_deref(), Ok(clean), "{typed}");
        }
        assert!(matches!(cleaned("h.example"), Ok(Cow::Borrowed(_))), "nothing is copied");
    }

    #[test]
    fn texts_that_are_no_address_are_refused() {
        for (typed, error) in [
            ("", AddressError::Empty),
            (" \n", AddressError::Empty),
            ("https://h.example", AddressError::Url),
            ("h.example/path", AddressError::Url),
            ("h.example:443", AddressError::Port),
            ("[2001:db8::7]:443", AddressError::Port),
            ("a b", AddressError::NotAName),
            ("a..b", AddressError::NotAName),
            ("[h.example]", AddressError::NotAName),
            ("192.0.2.300", AddressError::NotAName),
            ("<missing>", AddressError::NotAName),
            ("2001:db8::zz", AddressError::NotAName),
            ("ann@h.example", AddressError::NotAName),
        ] {
            assert_eq!(cleaned(typed), Err(error), "{typed}");
        }
        assert!(cleaned(&"a".repeat(64)).is_err() && cleaned(&"a.".repeat(200)).is_err());
    }

    #[test]
    fn names_with_wildcards_are_ascii() {
        assert_eq!(ascii_name("*.bücher.example"), "*.xn--bcher-kva.example");
        assert_eq!(ascii_name("*.h.example"), "*.h.example");
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd00::1", "fe80::1", "localhost", "0.0.0.0"] {
            assert!(is_private(private), "{private}");
        }
        for public in ["192.0.2.1", "2001:db8::1", "h.example"] {
            assert!(!is_private(public), "{public}");
        }
    }
}
