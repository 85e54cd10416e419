//! Shadowsocks' ciphers: programs refuse a whole configuration for the sake of one that they do not know.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Those that sing-box and Mihomo know.
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

/// The ciphers of 2022, whose passwords are keys in base64, and the keys' size in bytes.
const KEYED_METHODS: [(&str, usize); 3] =
    [("2022-blake3-aes-128-gcm", 16), ("2022-blake3-aes-256-gcm", 32), ("2022-blake3-chacha20-poly1305", 32)];

/// Whether programs can have such an entry.
pub fn is_known(method: &str, password: &str) -> bool {
    METHODS.contains(&method)
        || KEYED_METHODS.iter().any(|(name, size)| *name == method && password.split(':').all(|key| is_key(key, *size)))
}

/// The same for Clash as it was first.
pub fn is_known_to_first_clash(method: &str) -> bool {
    METHODS[1..].contains(&method)
}

/// So many bytes in base64.
pub fn is_key(text: &str, bytes: usize) -> bool {
    STANDARD.decode(text).is_ok_and(|key| key.len() == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_must_have_their_size() {
        let key = "AAAAAAAAAAAAAAAAAAAAAA==";
        assert!(
            is_known("2022-blake3-aes-128-gcm", key) && is_known("2022-blake3-aes-128-gcm", &format!("{key}:{key}"))
        );
        assert!(!is_known("2022-blake3-aes-256-gcm", key) && !is_known("2022-blake3-aes-128-gcm", "a password"));
        assert!(is_known("aes-256-gcm", "a password") && !is_known("rot13", "a password"));
        assert!(is_known_to_first_clash("aes-256-gcm") && !is_known_to_first_clash("none"));
    }
}
