//! Ciphers of Shadowsocks.

/// The ciphers of sing-box and Mihomo whose password is any text. The original Clash has all but the first.
pub const PLAIN: [&str; 15] = [
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
pub const KEYED: [(&str, usize, bool); 3] = [
    ("2022-blake3-aes-128-gcm", 16, true),
    ("2022-blake3-aes-256-gcm", 32, true),
    ("2022-blake3-chacha20-poly1305", 32, false),
];

/// The ciphers of Xray whose password is any text.
pub const XRAY: [&str; 6] = [
    "aes-128-gcm",
    "aes-256-gcm",
    "chacha20-poly1305",
    "chacha20-ietf-poly1305",
    "xchacha20-poly1305",
    "xchacha20-ietf-poly1305",
];

/// Returns true for a cipher that at least one program has.
pub fn is_known(cipher: &str) -> bool {
    PLAIN.contains(&cipher) || XRAY.contains(&cipher) || KEYED.iter().any(|(name, ..)| *name == cipher)
}
