//! The difference between two states of an object, and the masks over its secrets.

use serde_json::{Map, Value};

/// Stands for a secret.
const MASK: &str = "***";
/// Stands for a secret that is another one than before.
const NEW_MASK: &str = "*** (changed)";
/// Length of the JSON of one state, beyond which only its length is recorded: an entry stays small.
const MAX_LENGTH: usize = 16 * 1024;

/// Fields whose values are secrets, at any depth. Names are compared without case, `_` and `-`: JSON of engines has other spellings.
const SECRETS: [&str; 8] = ["key", "uuid", "token", "secret", "seed", "config", "authorization", "cookie"];
/// Ends of the names of others.
const ENDS_OF_SECRETS: [&str; 4] = ["password", "privatekey", "secretkey", "sharedkey"];

/// Returns the fields that differ, as they were and as they are, without secrets.
pub(super) fn difference(before: Value, after: Value) -> (Value, Value) {
    let (Value::Object(mut old), Value::Object(mut new)) = (before, after) else { return (Value::Null, Value::Null) };
    let same: Vec<String> =
        old.iter().filter(|(name, value)| new.get(*name) == Some(*value)).map(|(name, _)| name.clone()).collect();
    for name in same {
        old.remove(&name);
        new.remove(&name);
    }
    for (name, value) in &mut new {
        if is_secret(name) && value.is_string() && old.get(name).is_some_and(Value::is_string) {
            *value = Value::from(NEW_MASK);
        }
    }
    (masked(Value::Object(old)), masked(Value::Object(new)))
}

/// Replaces the values of secrets at any depth. A document that is too long is replaced by its length.
pub(super) fn masked(mut value: Value) -> Value {
    mask(&mut value);
    let length = value.to_string().len();
    if length > MAX_LENGTH {
        return Value::Object(Map::from_iter([("bytes".to_owned(), Value::from(length))]));
    }
    value
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if is_secret(name) => {
                        if text != NEW_MASK && !text.is_empty() {
                            MASK.clone_into(text);
                        }
                    }
                    other => mask(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

fn is_secret(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    SECRETS.contains(&name.as_str()) || ENDS_OF_SECRETS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_fields_that_differ_are_recorded() {
        let (before, after) = difference(
            json!({"name": "a", "port": 1, "note": null, "ids": [1]}),
            json!({"name": "b", "port": 1, "note": "n", "ids": [1]}),
        );
        assert_eq!(before, json!({"name": "a", "note": null}));
        assert_eq!(after, json!({"name": "b", "note": "n"}));
    }

    #[test]
    fn secrets_are_masked_at_any_depth_and_say_that_they_changed() {
        let (before, after) = difference(json!({"key": "old", "note": 1}), json!({"key": "new", "note": 1}));
        assert_eq!((before, after), (json!({"key": "***"}), json!({"key": "*** (changed)"})));
        let nested = masked(json!({"a": [{"password": "p", "b": {"privateKey": "k"}}], "uuid": ""}));
        assert_eq!(nested, json!({"a": [{"password": "***", "b": {"privateKey": "***"}}], "uuid": ""}));
    }

    #[test]
    fn secrets_are_known_by_every_spelling_of_their_names() {
        for name in ["obfs_password", "obfs-password", "obfsPassword", "private_key", "preSharedKey", "Authorization"] {
            assert_eq!(masked(json!({name: "s"})), json!({name: "***"}), "{name}");
        }
        for name in ["password_reset_at", "reality_public_key", "username", "remark"] {
            assert_eq!(masked(json!({name: "s"})), json!({name: "s"}), "{name}");
        }
    }

    #[test]
    fn long_document_is_recorded_by_its_length() {
        let long = masked(json!({"note": "x".repeat(MAX_LENGTH)}));
        assert_eq!(long, json!({"bytes": MAX_LENGTH + 11}));
    }
}
