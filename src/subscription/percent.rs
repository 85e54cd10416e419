//! Percent-encoding of all but unreserved characters (RFC 3986): valid in every part of a URL.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Spaces and control characters; all that is not ASCII is encoded in any case.
const INVISIBLE: &AsciiSet = &CONTROLS.add(b' ');

/// The encoded text, in pieces.
pub fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// True when a path needs no encoding.
pub fn is_path(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic()) && stray_percent(text).is_none()
}

/// A path with all but visible ASCII percent-encoded, and percent signs escaped that no two hex digits follow.
pub fn path(text: &str) -> String {
    let mut rest = text;
    let mut escaped = String::with_capacity(text.len() + 16);
    while let Some(at) = stray_percent(rest) {
        escaped.push_str(&rest[..at]);
        escaped.push_str("%25");
        rest = &rest[at + 1..];
    }
    escaped.push_str(rest);
    utf8_percent_encode(&escaped, INVISIBLE).to_string()
}

/// The position of the first percent sign that no two hex digits follow.
fn stray_percent(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    text.match_indices('%')
        .map(|(at, _)| at)
        .find(|at| !bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(encoded("aZ09-._~").to_string(), "aZ09-._~");
        assert_eq!(encoded("a b/ü\n%").to_string(), "a%20b%2F%C3%BC%0A%25");
        let ascii: String = (0..128_u8).map(char::from).collect();
        let stays = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
        let expected: String = ascii
            .chars()
            .map(|letter| if stays(letter) { letter.to_string() } else { format!("%{:02X}", u32::from(letter)) })
            .collect();
        assert_eq!(encoded(&ascii).to_string(), expected);
    }
}
