//! Writing values into a text of JSON that is under construction.

use serde::Serialize;

/// Appends a value. Values made of texts and numbers always make JSON; should one not, the text stays whole.
pub fn push(value: &impl Serialize, text: &mut String) {
    text.push_str(serde_json::to_string(value).as_deref().unwrap_or("null"));
}

/// Appends a value to a list, after a comma unless it is the first.
pub fn push_item(value: &impl Serialize, text: &mut String) {
    if !text.ends_with('[') {
        text.push(',');
    }
    push(value, text);
}
