//! Percent-encoding of all but unreserved characters (RFC 3986): valid in every part of a URL.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The encoded text, in pieces.
pub fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
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
