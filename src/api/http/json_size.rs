//! Counts the values of a JSON text before it is parsed: a few bytes of text can become hundreds of bytes of memory.

/// Values in a body. The longest list has ten thousand elements.
pub(super) const MAX_VALUES: usize = 20_000;
/// An object, even a small one, takes the memory of this many other values: some 600 bytes.
const OBJECT: usize = 8;

/// Returns the number of values in a JSON text, objects counted several times; never too low, if the text is valid.
pub(super) fn values(text: &str) -> usize {
    let (mut count, mut in_text, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' if !in_text => count += 1,
            b'{' if !in_text => count += OBJECT,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_of_texts_are_counted() {
        for (text, expected) in [
            ("5", 1),
            (r#""a,b[{""#, 1),
            (r#""a\\","#, 2),
            (r#""a\",,,""#, 1),
            ("[]", 2),
            ("[1,2,3]", 4),
            (r#"{"a": [1, {"b": "x,y"}], "c": 2}"#, 4 + 2 * OBJECT),
        ] {
            assert_eq!(values(text), expected, "{text}");
        }
    }
}
