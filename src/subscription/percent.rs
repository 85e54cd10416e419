//! Percent-encoding of everything that is not plainly a letter, a digit or `-._~`: right in every part of a URL.

/// Appends the encoded text, a run of plain bytes at a time.
pub fn push(text: &str, to: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !is_plain(byte)) {
        let (plain, odd) = rest.split_at(at);
        to.push_str(plain);
        let end = odd.bytes().position(is_plain).unwrap_or(odd.len());
        for byte in odd[..end].bytes() {
            to.push('%');
            to.push(char::from(DIGITS[usize::from(byte >> 4)]));
            to.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        rest = &odd[end..];
    }
    to.push_str(rest);
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The encoded text.
pub fn encoded(text: &str) -> String {
    let mut to = String::with_capacity(text.len());
    push(text, &mut to);
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_bytes_stay() {
        assert_eq!(encoded("aZ09-._~"), "aZ09-._~");
        assert_eq!(encoded("a b/ü\n%"), "a%20b%2F%C3%BC%0A%25");
    }
}
