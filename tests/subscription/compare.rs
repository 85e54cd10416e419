//! Comparison of recorded and rendered values that allows random values and known corrections.

use serde_json::Value;

/// Allowed differences.
pub struct Tolerance {
    /// Host names of inbounds of which the old panel used only one letter.
    pub string_hosts: Vec<String>,
    /// Lists of names from which rendering picks one at random.
    pub choices: Vec<Vec<String>>,
}

impl Tolerance {
    /// Returns the differences, each with the path of its value.
    pub fn differences(&self, expected: &Value, got: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.walk("", &clean(expected), &clean(got), &mut found);
        found
    }

    fn walk(&self, place: &str, expected: &Value, got: &Value, found: &mut Vec<String>) {
        match (expected, got) {
            (Value::Object(left), Value::Object(right)) => {
                for (name, value) in left {
                    match right.get(name) {
                        _ if name == "email" || *value == "None" => {}
                        Some(other) => self.walk(&format!("{place}.{name}"), value, other, found),
                        None => found.push(format!("{place}.{name}: missing value: {value}")),
                    }
                }
                for name in right.keys().filter(|name| !left.contains_key(*name)) {
                    found.push(format!("{place}.{name}: unexpected value: {}", right[name]));
                }
            }
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (at, (value, other)) in left.iter().zip(right).enumerate() {
                    self.walk(&format!("{place}[{at}]"), value, other, found);
                }
            }
            (Value::String(left), Value::String(right)) if self.same_text(left, right) => {}
            _ if expected == got => {}
            _ => found.push(format!("{place}: expected {expected}, got {got}")),
        }
    }

    fn same_text(&self, expected: &str, got: &str) -> bool {
        let one_letter = || expected.chars().count() == 1 && self.string_hosts.iter().any(|host| host == got);
        let another_choice = || {
            let has = |choice: &[String], text: &str| choice.iter().any(|one| one == text);
            self.choices.iter().any(|choice| has(choice, expected) && has(choice, got))
        };
        expected == got
            || whole_numbers(expected) == got
            || one_letter()
            || another_choice()
            || same_but_salt(expected, got)
    }
}

/// Removes the decimal `.0` that the old panel wrote in the remaining time.
fn whole_numbers(text: &str) -> String {
    ["m", "d", "h", "s"].iter().fold(text.to_owned(), |text, unit| text.replace(&format!(".0{unit}"), unit))
}

/// Returns true if both texts are 16 hexadecimal digits followed by the same text.
fn same_but_salt(expected: &str, got: &str) -> bool {
    let salted = |text: &str| {
        let (digits, rest) = text.split_at_checked(16)?;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| rest.to_owned())
    };
    salted(expected).is_some_and(|rest| !rest.is_empty() && salted(got) == Some(rest))
}

/// Removes null and empty values at any depth.
fn clean(value: &Value) -> Value {
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        _ => true,
    };
    match value {
        Value::Array(list) => list.iter().map(clean).filter(says_something).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name.clone(), clean(value)))
            .filter(|(_, value)| says_something(value))
            .collect(),
        other => other.clone(),
    }
}
