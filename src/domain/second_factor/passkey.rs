//! A passkey of an admin as it is listed, and the addresses of the panel under which it is good.

use uuid::Uuid;

use crate::domain::moment::Moment;

/// Passkeys of an admin, at most.
pub const MOST: i64 = 20;

/// A passkey, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The row.
    pub id: Uuid,
    /// A name for people.
    pub name: String,
    /// The domain that it is for.
    pub rp_id: String,
    /// When it was added.
    pub created_at: Moment,
    /// The last sign-in with it.
    pub last_used_at: Option<Moment>,
}

/// Returns true for a name in lower case that passkeys can be bound to. An address can have none.
pub fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(is_label) && !text.rsplit('.').next().is_some_and(is_number)
}

/// Returns true for an origin whose pages may use the passkeys of a domain: the domain itself and, if `below`, names below it. A port does
/// not matter, as a proxy may hide it. Without TLS, browsers have passkeys on their own machine only.
pub fn is_origin_of(origin: &str, domain: &str, below: bool) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let host = match authority.split_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some(_) => return false,
        None => authority,
    };
    let is_below = || below && host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') && is_domain(host));
    let is_secure = match scheme {
        "https" => true,
        "http" => host == "localhost" || host.ends_with(".localhost"),
        _ => false,
    };
    is_secure && (host == domain || is_below())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_are_bound_to_names_not_to_addresses() {
        for domain in ["panel.example.com", "localhost", "xn--mgbh0fb.example", "a_b.example", "1.example"] {
            assert!(is_domain(domain), "{domain}");
        }
        let long = "a".repeat(64);
        for other in
            ["192.0.2.1", "[2001:db8::1]", "127.1", "", "a b", "a/b", "a..b", "example.", "Panel.example", &long]
        {
            assert!(!is_domain(other), "{other}");
        }
    }

    #[test]
    fn origin_is_the_domain_under_https() {
        for origin in ["https://panel.example.com", "https://panel.example.com:8443"] {
            assert!(is_origin_of(origin, "panel.example.com", false), "{origin}");
        }
        for other in [
            "http://panel.example.com",
            "https://a.panel.example.com",
            "https://example.com",
            "https://evil-panel.example.com",
            "https://panel.example.com.evil",
            "https://panel.example.com:8443:1",
            "https://panel.example.com@evil",
            "panel.example.com",
            "android:apk-key-hash:panel.example.com",
            "",
        ] {
            assert!(!is_origin_of(other, "panel.example.com", false), "{other}");
        }
    }

    #[test]
    fn names_below_a_domain_are_its_origins_if_it_is_set() {
        for (origin, below) in [
            ("https://example.com", true),
            ("https://a.example.com", true),
            ("https://b.a.example.com:444", true),
            ("https://evilexample.com", false),
            ("https://.example.com", false),
            ("https://x/.example.com", false),
            ("http://a.example.com", false),
        ] {
            assert_eq!(is_origin_of(origin, "example.com", true), below, "{origin}");
        }
    }

    #[test]
    fn only_this_machine_may_do_without_tls() {
        for (origin, domain, good) in [
            ("http://localhost:8000", "localhost", true),
            ("http://a.localhost", "a.localhost", true),
            ("http://evil-localhost", "evil-localhost", false),
            ("http://localhost:8000", "panel.example.com", false),
        ] {
            assert_eq!(is_origin_of(origin, domain, false), good, "{origin}");
        }
    }
}
