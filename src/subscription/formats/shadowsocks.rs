//! Shadowsocks ciphers that clients know; a client refuses the whole configuration because of an unknown one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::host::ciphers;
use crate::domain::inbound::{Network, Protocol};
use crate::subscription::entry::Entry;

/// True when sing-box and Mihomo accept this cipher with this password.
pub fn is_valid(method: &str, password: &str) -> bool {
    let is_keyed = |(name, size, has_users): &(&str, usize, bool)| {
        *name == method && (*has_users || !password.contains(':')) && password.split(':').all(|key| is_key(key, *size))
    };
    ciphers::PLAIN.contains(&method) || ciphers::KEYED.iter().any(is_keyed)
}

/// True over a transport that only Xray has for Shadowsocks.
pub fn is_layered(entry: &Entry<'_>) -> bool {
    entry.protocol == Protocol::Shadowsocks && !matches!(entry.network, Network::Unset | Network::Tcp)
}

/// True when Xray accepts this cipher with this password.
pub fn is_known_to_xray(method: &str, password: &str) -> bool {
    ciphers::XRAY.contains(&method) || method.starts_with("2022-") && is_valid(method, password)
}

/// True when the original Clash knows this cipher.
pub fn is_known_to_clash(method: &str) -> bool {
    ciphers::PLAIN[1..].contains(&method)
}

/// True for the base64 form of a key of `bytes` bytes.
pub fn is_key(text: &str, bytes: usize) -> bool {
    STANDARD.decode(text).is_ok_and(|key| key.len() == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_another_size_are_invalid() {
        let key = "AAAAAAAAAAAAAAAAAAAAAA==";
        assert!(
            is_valid("2022-blake3-aes-128-gcm", key) && is_valid("2022-blake3-aes-128-gcm", &format!("{key}:{key}"))
        );
        let long = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
        assert!(is_valid("2022-blake3-chacha20-poly1305", long));
        assert!(!is_valid("2022-blake3-chacha20-poly1305", &format!("{long}:{long}")), "a server has no users");
        assert!(!is_valid("2022-blake3-aes-256-gcm", key) && !is_valid("2022-blake3-aes-128-gcm", "a password"));
        assert!(is_valid("aes-256-gcm", "a password") && !is_valid("rot13", "a password"));
        assert!(is_known_to_clash("aes-256-gcm") && !is_known_to_clash("none"));
    }
}
