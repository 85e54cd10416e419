//! A user's credentials on nodes: panel and nodes derive them from the user's key in the same way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// How credentials derive from keys; nodes must have the same setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyDerivation {
    /// The XXH128 digest of the key's text.
    #[default]
    Xxh128,
    /// The key itself.
    Plain,
}

/// One user's credentials for all protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// For VMess, VLESS and TUIC.
    pub uuid: String,
    /// For the other protocols.
    pub password: String,
    /// WireGuard's private key: the key's first 32 bytes in base64. `None` when the key is shorter.
    pub wireguard_key: Option<String>,
}

impl KeyDerivation {
    /// Reads the text of the setting.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "xxh128" => Some(Self::Xxh128),
            "plain" => Some(Self::Plain),
            _ => None,
        }
    }

    /// Returns the text of the setting.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Xxh128 => "xxh128",
            Self::Plain => "plain",
        }
    }
}

impl Credentials {
    /// Derives the credentials of a key.
    pub fn derive(key: &str, derivation: KeyDerivation) -> Self {
        let (uuid, password) = match derivation {
            KeyDerivation::Xxh128 => {
                let digest = Uuid::from_u128(xxh3_128(key.as_bytes()));
                (digest.to_string(), digest.simple().to_string())
            }
            // A key that is not a UUID is used unchanged.
            KeyDerivation::Plain => {
                (Uuid::try_parse(key).map_or_else(|_| key.to_owned(), |uuid| uuid.to_string()), key.to_owned())
            }
        };
        let wireguard_key = key.as_bytes().get(..32).map(|bytes| STANDARD.encode(bytes));
        Self { uuid, password, wireguard_key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xxh128_credential_is_the_digest() {
        let derived = Credentials::derive("00000000000000000000000000000001", KeyDerivation::Xxh128);
        assert_eq!(derived.uuid, "92ac8641-a192-b9f3-b912-a2a7b516ac83");
        assert_eq!(derived.password, "92ac8641a192b9f3b912a2a7b516ac83");
        assert_eq!(derived.wireguard_key.as_deref(), Some("MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDE="));
    }

    #[test]
    fn plain_credential_is_the_key() {
        let derived = Credentials::derive("0123456789abcdef0123456789abcdef", KeyDerivation::Plain);
        assert_eq!(derived.uuid, "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(derived.password, "0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn short_and_non_ascii_keys_are_accepted() {
        for key in ["", "abc", "é", &"é".repeat(40)] {
            for derivation in [KeyDerivation::Xxh128, KeyDerivation::Plain] {
                let derived = Credentials::derive(key, derivation);
                assert_eq!(derived.wireguard_key.is_some(), key.len() >= 32, "{key}");
            }
        }
    }
}
