//! Settings of a host with a few possible values, and their text forms in the API and the database.

use serde::{Deserialize, Serialize};

/// The TLS setting of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostSecurity {
    /// The inbound's setting.
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
    /// No protocols.
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
    /// HTTP/3, then 2, then 1.1.
    #[serde(rename = "h3,h2,http/1.1")]
    H3H2Http1,
}

/// The browser whose TLS handshake a client imitates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fingerprint {
    /// The inbound's setting, or no imitation.
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
    /// 360 Secure Browser.
    #[serde(rename = "360")]
    Browser360,
    /// QQ Browser.
    Qq,
    /// A random one of these browsers.
    Random,
    /// A randomly generated handshake.
    Randomized,
}

/// The content of a noise packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseKind {
    /// A number of random bytes.
    Rand,
    /// A text.
    Str,
    /// Bytes in base64.
    Base64,
}

impl HostSecurity {
    /// All values, in the API's order.
    pub const ALL: [Self; 3] = [Self::InboundDefault, Self::None, Self::Tls];

    /// The text form in the API and the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InboundDefault => "inbound_default",
            Self::None => "none",
            Self::Tls => "tls",
        }
    }

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|security| security.word() == word)
    }
}

impl Alpn {
    /// All values, in the API's order.
    pub const ALL: [Self; 7] =
        [Self::None, Self::H2, Self::Http1, Self::H2Http1, Self::H3, Self::H3H2, Self::H3H2Http1];

    /// The text form in the API and the database.
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

    /// Reads the text form; an empty text is `None`.
    pub fn from_word(word: &str) -> Option<Self> {
        if word.is_empty() {
            return Some(Self::None);
        }
        Self::ALL.into_iter().find(|alpn| alpn.word() == word)
    }

    /// The protocols as a list; empty for `None`.
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
    /// All values, in the API's order.
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

    /// The text form in the API and the database; empty for `None`.
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

    /// Reads the text form.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fingerprint| fingerprint.word() == word)
    }
}

impl NoiseKind {
    /// All values, in the API's order.
    pub const ALL: [Self; 3] = [Self::Rand, Self::Str, Self::Base64];

    /// The text form in the API and the database.
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
    fn text_forms_match_serde() {
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
