//! Shadowsocks ciphers that clients know; a client refuses the whole configuration because of an unknown one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::inbound::{Network, Protocol};
use crate::subscription::entry::Entry;
use crate::subscription::format::Reason;

/// The ciphers of sing-box and Mihomo whose password is any text.
const METHODS: [&str; 15] = [
    "none",
    "aes-128-gcm",
    "aes-192-gcm",
    "aes-256-gcm",
    "chacha20-ietf-poly1305",
    "xchacha20-ietf-poly1305",
    "aes-128-ctr",
    "aes-192-ctr",
    "aes-256-ctr",
    "aes-128-cfb",
    "aes-192-cfb",
    "aes-256-cfb",
    "rc4-md5",
    "chacha20-ietf",
    "xchacha20",
];

/// The ciphers of 2022, whose passwords are base64 keys, with the size of the key in bytes, and true with which a server
/// has users: then the password is the server's key and the user's, with a colon between them.
const KEYED_METHODS: [(&str, usize, bool); 3] = [
    ("2022-blake3-aes-128-gcm", 16, true),
    ("2022-blake3-aes-256-gcm", 32, true),
    ("2022-blake3-chacha20-poly1305", 32, false),
];

/// True when sing-box and Mihomo accept this cipher with this password.
pub fn is_valid(method: &str, password: &str) -> bool {
    let is_keyed = |(name, size, has_users): &(&str, usize, bool)| {
        *name == method && (*has_users || !password.contains(':')) && password.split(':').all(|key| is_key(key, *size))
    };
    METHODS.contains(&method) || KEYED_METHODS.iter().any(is_keyed)
}

/// True over a transport that only Xray has for Shadowsocks.
pub fn is_layered(entry: &Entry<'_>) -> bool {
    entry.protocol == Protocol::Shadowsocks && !matches!(entry.network, Network::Unset | Network::Tcp)
}

/// Why no client could use the link of an entry of Shadowsocks; `None` for the other protocols.
pub fn refusal(entry: &Entry<'_>) -> Option<Reason> {
    if is_layered(entry) {
        return Some("links of its protocol have no transport");
    }
    (entry.protocol == Protocol::Shadowsocks && !is_valid(entry.method, entry.password))
        .then_some("no client knows its cipher, or the cipher needs a key of another size")
}

/// The ciphers of Xray whose password is any text.
const XRAY_METHODS: [&str; 6] = [
    "aes-128-gcm",
    "aes-256-gcm",
    "chacha20-poly1305",
    "chacha20-ietf-poly1305",
    "xchacha20-poly1305",
    "xchacha20-ietf-poly1305",
];

/// True when Xray accepts this cipher with this password.
pub fn is_known_to_xray(method: &str, password: &str) -> bool {
    XRAY_METHODS.contains(&method) || method.starts_with("2022-") && is_valid(method, password)
}

/// True when the original Clash knows this cipher.
pub fn is_known_to_clash(method: &str) -> bool {
    METHODS[1..].contains(&method)
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
