//! Appends JSON values to a JSON text under construction.

use serde::Serialize;

/// Appends a value. Structs of texts and numbers always serialize; a value that does not becomes `null`, so that the
/// text stays valid.
pub fn push(value: &impl Serialize, text: &mut String) {
    text.push_str(serde_json::to_string(value).as_deref().unwrap_or("null"));
}

/// Appends an item to the array that the text ends in.
pub fn push_item(value: &impl Serialize, text: &mut String) {
    if !text.ends_with('[') {
        text.push(',');
    }
    push(value, text);
}
