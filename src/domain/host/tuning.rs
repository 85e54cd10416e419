//! Connection settings of a host: fragments, noise, connection reuse and multiplexing.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use super::text::NoiseKind;

/// How Xray splits packets. Length and interval are ranges of numbers as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentSettings {
    /// `tlshello`, or a range of packet numbers.
    pub packets: String,
    /// Bytes of a fragment.
    pub length: String,
    /// Milliseconds.
    pub interval: String,
}

/// A noise packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noise {
    /// How `packet` is read.
    #[serde(rename = "type")]
    pub kind: NoiseKind,
    /// A range of lengths, a text, or base64.
    pub packet: String,
    /// Milliseconds: `n` or `n-m`.
    pub delay: String,
}

/// Settings of splithttp (XHTTP).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitHttpSettings {
    /// `packet-up`, `stream-one`, …
    #[serde(default)]
    pub mode: Option<String>,
    /// Leaves out the header that imitates gRPC.
    #[serde(default)]
    pub no_grpc_header: Option<bool>,
    /// A range of bytes.
    #[serde(default)]
    pub padding_bytes: Option<String>,
    /// Connection reuse.
    #[serde(default)]
    pub xmux: Option<XMuxSettings>,
}

impl SplitHttpSettings {
    /// True for settings that Xray takes.
    pub fn is_valid(&self) -> bool {
        self.mode.as_deref().is_none_or(is_xhttp_mode)
            && self.padding_bytes.as_deref().is_none_or(|bytes| bytes.is_empty() || is_fragment_length(bytes))
            && self.xmux.as_ref().is_none_or(|xmux| !xmux.has_both_limits() && xmux.wrong_range().is_none())
    }
}

impl XMuxSettings {
    /// True when connections and streams are both limited, which Xray refuses.
    pub fn has_both_limits(&self) -> bool {
        let is_limited = |limit: &Option<String>| {
            limit.as_deref().is_some_and(|limit| limit.bytes().any(|digit| matches!(digit, b'1'..=b'9')))
        };
        is_limited(&self.max_concurrency) && is_limited(&self.max_connections)
    }

    /// The first field that is neither empty nor a number or a range.
    pub fn wrong_range(&self) -> Option<&'static str> {
        let ranges = [
            ("max_concurrency", &self.max_concurrency),
            ("max_connections", &self.max_connections),
            ("max_reuse_times", &self.max_reuse_times),
            ("max_lifetime", &self.max_lifetime),
            ("max_request_times", &self.max_request_times),
        ];
        let is_wrong = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty() && !is_range(text));
        ranges.into_iter().find(|(_, range)| is_wrong(range)).map(|(field, _)| field)
    }
}

/// True for the name and the value of a header (RFC 9110).
pub fn is_header(name: &str, value: &str) -> bool {
    is_token(name) && !value.contains(|letter: char| letter.is_control() && letter != '\t')
}

/// True for a name of HTTP (RFC 9110).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// True for base64, with and without padding: the packets of [`NoiseKind::Base64`].
pub fn is_base64(text: &str) -> bool {
    // As lenient as Xray: bits after the last byte do not matter.
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, config).decode(text).is_ok()
}

/// True for the modes of XHTTP, and for an empty text.
pub fn is_xhttp_mode(mode: &str) -> bool {
    matches!(mode, "" | "auto" | "packet-up" | "stream-up" | "stream-one")
}

/// How splithttp (XHTTP) reuses connections. The texts are `n` or `n-m`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct XMuxSettings {
    /// Streams at a time.
    #[serde(default)]
    pub max_concurrency: Option<String>,
    /// Connections at a time.
    #[serde(default)]
    pub max_connections: Option<String>,
    /// Streams before a connection is closed.
    #[serde(default)]
    pub max_reuse_times: Option<String>,
    /// Milliseconds before a connection is closed.
    #[serde(default)]
    pub max_lifetime: Option<String>,
    /// Requests before a connection is closed.
    #[serde(default)]
    pub max_request_times: Option<String>,
    /// Seconds between keep-alive packets.
    #[serde(default)]
    pub keep_alive_period: Option<i64>,
}

/// Multiplexing of streams in one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuxSettings {
    /// `mux_cool` is Xray's; `h2mux`, `yamux` and `smux` are sing-box's.
    pub protocol: String,
    /// For sing-box.
    #[serde(default)]
    pub sing_box_mux_settings: Option<SingBoxMuxSettings>,
    /// For Xray.
    #[serde(default)]
    pub mux_cool_settings: Option<MuxCoolSettings>,
}

/// Multiplexing of sing-box.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingBoxMuxSettings {
    /// Connections at most.
    #[serde(default)]
    pub max_connections: Option<i64>,
    /// Streams in a connection at most.
    #[serde(default)]
    pub max_streams: Option<i64>,
    /// Streams in a connection before another is opened.
    #[serde(default)]
    pub min_streams: Option<i64>,
    /// Hides the length of packets.
    #[serde(default)]
    pub padding: Option<bool>,
}

/// Multiplexing of Xray.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuxCoolSettings {
    /// Streams in a connection.
    #[serde(default)]
    pub concurrency: Option<i64>,
    /// Streams of UDP in a connection.
    #[serde(default)]
    pub xudp_concurrency: Option<i64>,
    /// The treatment of UDP on port 443: `reject`, `allow` or `skip`.
    #[serde(default)]
    pub xudp_proxy_443: Option<String>,
}

/// `n` or `n-m` with at most ten digits each: delays of noise and the numbers of [`XMuxSettings`].
pub fn is_range(text: &str) -> bool {
    let is_number = |part: &str| (1..=10).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('-') {
        Some((from, to)) => is_number(from) && is_number(to),
        None => is_number(text),
    }
}

/// A range from 1: the length of [`FragmentSettings`]. A fragment has at least one byte.
pub fn is_fragment_length(text: &str) -> bool {
    is_range(text) && text.split('-').all(|number| number.bytes().any(|digit| digit != b'0'))
}

/// `tlshello` or a range from 1: the packets of [`FragmentSettings`]. Older panels accept a colon before the word.
pub fn is_fragment_packets(text: &str) -> bool {
    matches!(text, "tlshello" | ":tlshello") || is_fragment_length(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_validated() {
        for good in ["0", "1-2", "1234567890-1234567890"] {
            assert!(is_range(good), "{good}");
        }
        for bad in ["", "-", "1-", "-1", "1-2-3", "12345678901", "a", "１"] {
            assert!(!is_range(bad), "{bad}");
        }
        for bad in ["0", "0-3", "-", "--", "1-2-3", "", "00"] {
            assert!(!is_fragment_length(bad) && !is_fragment_packets(bad), "{bad}");
        }
        assert!(is_fragment_length("10-20") && is_fragment_packets(":tlshello"));
        assert!(is_fragment_packets("tlshello") && is_fragment_packets("1-3") && !is_fragment_packets("hello"));
    }
}
