//! What a host says in one of a few words, as the API and the database have them.

use serde::{Deserialize, Serialize};

/// What a host says about TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostSecurity {
    /// As the inbound has it.
    #[default]
    InboundDefault,
    /// No TLS.
    None,
    /// TLS.
    Tls,
}

/// The protocols that a TLS handshake offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alpn {
    /// Nothing said.
    #[default]
    #[serde(rename = "none")]
    None,
    /// HTTP/2.
    #[serde(rename = "h2")]
    H2,
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    Http1,
    /// HTTP/2, then 1.1.
    #[serde(rename = "h2,http/1.1")]
    H2Http1,
    /// HTTP/3.
    #[serde(rename = "h3")]
    H3,
    /// HTTP/3, then 2.
    #[serde(rename = "h3,h2")]
    H3H2,
    /// All three.
    #[serde(rename = "h3,h2,http/1.1")]
    H3H2Http1,
}

/// Whose TLS handshake a client imitates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fingerprint {
    /// As the inbound says, else nobody's.
    #[default]
    #[serde(rename = "")]
    None,
    /// Chrome.
    Chrome,
    /// Firefox.
    Firefox,
    /// Safari.
    Safari,
    /// Safari on iOS.
    Ios,
    /// Android.
    Android,
    /// Edge.
    Edge,
    /// The browser called 360.
    #[serde(rename = "360")]
    Browser360,
    /// The browser called QQ.
    Qq,
    /// One of them.
    Random,
    /// A new one each time.
    Randomized,
}

/// How a packet of noise is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseKind {
    /// So many random bytes.
    Rand,
    /// This text.
    Str,
    /// These bytes.
    Base64,
}

impl HostSecurity {
    /// All, in the API's order.
    pub const ALL: [Self; 3] = [Self::InboundDefault, Self::None, Self::Tls];

    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InboundDefault => "inbound_default",
            Self::None => "none",
            Self::Tls => "tls",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|security| security.word() == word)
    }
}

impl Alpn {
    /// All, in the API's order.
    pub const ALL: [Self; 7] =
        [Self::None, Self::H2, Self::Http1, Self::H2Http1, Self::H3, Self::H3H2, Self::H3H2Http1];

    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::H2 => "h2",
            Self::Http1 => "http/1.1",
            Self::H2Http1 => "h2,http/1.1",
            Self::H3 => "h3",
            Self::H3H2 => "h3,h2",
            Self::H3H2Http1 => "h3,h2,http/1.1",
        }
    }

    /// From the word; the empty one is none.
    pub fn from_word(word: &str) -> Option<Self> {
        if word.is_empty() {
            return Some(Self::None);
        }
        Self::ALL.into_iter().find(|alpn| alpn.word() == word)
    }

    /// One by one; empty for none.
    pub const fn protocols(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::H2 => &["h2"],
            Self::Http1 => &["http/1.1"],
            Self::H2Http1 => &["h2", "http/1.1"],
            Self::H3 => &["h3"],
            Self::H3H2 => &["h3", "h2"],
            Self::H3H2Http1 => &["h3", "h2", "http/1.1"],
        }
    }
}

impl Fingerprint {
    /// All, in the API's order.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::Chrome,
        Self::Firefox,
        Self::Safari,
        Self::Ios,
        Self::Android,
        Self::Edge,
        Self::Browser360,
        Self::Qq,
        Self::Random,
        Self::Randomized,
    ];

    /// The word of the API and the database; empty for none.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Chrome => "chrome",
            Self::Firefox => "firefox",
            Self::Safari => "safari",
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Edge => "edge",
            Self::Browser360 => "360",
            Self::Qq => "qq",
            Self::Random => "random",
            Self::Randomized => "randomized",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fingerprint| fingerprint.word() == word)
    }
}

impl NoiseKind {
    /// All, in the API's order.
    pub const ALL: [Self; 3] = [Self::Rand, Self::Str, Self::Base64];

    /// The word of the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rand => "rand",
            Self::Str => "str",
            Self::Base64 => "base64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_documents_agree() {
        for value in HostSecurity::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
            assert_eq!(HostSecurity::from_word(value.word()), Some(value));
        }
        for value in Alpn::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
            assert_eq!(Alpn::from_word(value.word()), Some(value));
            let listed = value.protocols().join(",");
            assert_eq!(if listed.is_empty() { "none" } else { &listed }, value.word());
        }
        for value in Fingerprint::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
            assert_eq!(Fingerprint::from_word(value.word()), Some(value));
        }
        for value in NoiseKind::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.word());
        }
    }
}
