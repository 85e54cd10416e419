//! Parameters of a database's address: each is honoured, without effect here, or refused by its name.

use std::fs::File;

use percent_encoding::percent_decode_str;

/// Returns the decoded names and values behind `?`. None: a value is not UTF-8.
pub(super) fn parsed(query: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
    };
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Some((decoded(name)?, decoded(value)?))
    };
    query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

/// Removes the parameters whose name passes, and returns their values in the order of the address.
pub(super) fn take(parameters: &mut Vec<(String, String)>, names: &[&str]) -> Vec<String> {
    let mut taken = Vec::new();
    parameters.retain(|(name, value)| {
        let is_named = names.contains(&normal(name).as_str());
        if is_named {
            taken.push(value.clone());
        }
        !is_named
    });
    taken
}

/// [`take`] for a parameter that may be there once; empty counts as missing.
pub(super) fn take_one(parameters: &mut Vec<(String, String)>, names: &[&str]) -> Result<Option<String>, String> {
    let mut values = take(parameters, names);
    match values.len() {
        0 | 1 => Ok(values.pop().filter(|value| !value.is_empty())),
        _ => Err(format!("has the parameter {} twice; remove one", names[0])),
    }
}

/// Refuses the first parameter that is left.
pub(super) fn refuse_others(parameters: &[(String, String)], supported: &str) -> Result<(), String> {
    match parameters.first() {
        None => Ok(()),
        // What is no name may be a part of a password.
        Some((name, _)) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) => {
            Err(format!("has a parameter that is not supported: {name:?}; remove it (supported: {supported})"))
        }
        Some(_) => Err(format!("has a text behind `?` that is no parameter; remove it (supported: {supported})")),
    }
}

/// Reads a flag as Python's libraries write it.
pub(super) fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on" | "t" | "y")
}

/// Refuses a file that can't be read.
pub(super) fn readable(parameter: &str, path: &str) -> Result<(), String> {
    File::open(path)
        .map(drop)
        .map_err(|error| format!("names a file in {parameter} that can't be read: {path:?} ({error})"))
}

/// The name in lower case, with `_` for `-`.
fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}
