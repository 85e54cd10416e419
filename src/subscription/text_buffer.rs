//! A document under construction: values are written straight into it.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// The bytes of a document, which are UTF-8.
#[derive(Debug, Default)]
pub struct TextBuffer(Vec<u8>);

impl TextBuffer {
    /// An empty document that is expected to have this number of bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Appends a text.
    pub fn push_str(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Appends a value as JSON.
    pub fn push_json(&mut self, value: &impl Serialize) {
        self.push_with(value, CompactFormatter);
    }

    /// Appends a value. Structs of texts and numbers always serialize; a value that does not becomes `null`, so that the
    /// document stays valid.
    pub fn push_with(&mut self, value: &impl Serialize, formatter: impl Formatter) {
        let start = self.0.len();
        if value.serialize(&mut Serializer::with_formatter(&mut self.0, formatter)).is_err() {
            self.0.truncate(start);
            self.push_str("null");
        }
    }

    /// Begins an item of the JSON array that the document ends in.
    pub fn begin_item(&mut self) {
        if !self.0.ends_with(b"[") {
            self.push_str(",");
        }
    }

    /// Appends an item to the JSON array that the document ends in.
    pub fn push_item(&mut self, value: &impl Serialize) {
        self.begin_item();
        self.push_json(value);
    }

    /// The document.
    pub fn into_string(self) -> String {
        String::from_utf8(self.0).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde::ser::Error as _;

    use super::*;

    struct Broken;

    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("broken"))
        }
    }

    #[test]
    fn values_follow_each_other_and_one_that_does_not_serialize_is_null() {
        let mut text = TextBuffer::with_capacity(0);
        text.push_str("[");
        text.push_item(&("é", 1));
        text.push_item(&[Some(Broken), None]);
        text.push_str("]");
        assert_eq!(text.into_string(), "[[\"é\",1],null]");
    }
}
