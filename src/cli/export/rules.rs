//! Subscription rules for the old panel: their patterns are written as Python's `re` reads them, because a single other one
//! makes the old panel answer every subscription with an error.

use serde_json::Value;

use crate::subscription::python_patterns::to_python;

/// Translates the patterns of stored settings, and removes the rules that can't be translated. `changed` gets a sentence for
/// each rule that is not what it was.
pub(super) fn translate(subscription: &mut Value, mut changed: impl FnMut(String)) {
    let Some(rules) = subscription.get_mut("rules").and_then(Value::as_array_mut) else { return };
    let mut number = 0;
    rules.retain_mut(|rule| {
        number += 1;
        let Some(pattern) = rule["pattern"].as_str().map(str::to_owned) else {
            changed(format!("rule {number} has no pattern: left out"));
            return false;
        };
        match to_python(&pattern) {
            Ok(same) if same == pattern => true,
            Ok(translated) => {
                changed(format!(
                    "rule {number}: the pattern `{pattern}` is written `{translated}`, which matches the same"
                ));
                rule["pattern"] = Value::from(translated);
                true
            }
            Err(error) => {
                changed(format!("rule {number}: left out, because in the pattern `{pattern}` {error} in Python"));
                false
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_translated_or_left_out_with_a_word() {
        let rule = |pattern: &str| json!({"pattern": pattern, "result": "links"});
        let mut settings = json!({"rules": [rule("^a"), rule("v2(?i)RAY"), rule(r"\p{Greek}"), rule(r"\h")], "x": 1});
        let mut said = Vec::new();
        translate(&mut settings, |sentence| said.push(sentence));
        let expected = json!({"rules": [rule("^a"), rule("v2(?i:RAY)"), rule("[0-9A-Fa-f]")], "x": 1});
        assert_eq!(settings, expected);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[1].starts_with("rule 3: left out") && said[1].contains(r"\p{Greek}"), "{said:?}");
    }
}
