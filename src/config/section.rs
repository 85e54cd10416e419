//! Deserializes a section of the settings with envy, and reports all wrong values, not only the first.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::env::Values;
use super::errors::SettingError;
use super::names::SETTINGS;

/// Returns the section, or none when one of its settings is wrong; `errors` then names all wrong ones.
///
/// envy stops at the first wrong field. Every setting has a default or may be missing, so that the section can be read
/// with one value at a time: a failure is then the fault of that value.
pub(super) fn read<T: DeserializeOwned>(values: &Values, errors: &mut Vec<SettingError>) -> Option<T> {
    let before = errors.len();
    for (setting, text, source) in values.set() {
        if let Err(error) = deserialize::<T>([(setting.name, text)]) {
            let shown = (!setting.secret).then_some(text);
            errors.push(SettingError::value(&source.to_string(), &error.to_string(), shown));
        }
    }
    if errors.len() > before {
        return None;
    }
    let set = values.set().map(|(setting, text, _)| (setting.name, text));
    deserialize(set).map_err(|error| errors.push(SettingError::new(error.to_string()))).ok()
}

fn deserialize<'a, T: DeserializeOwned>(set: impl IntoIterator<Item = (&'a str, &'a str)>) -> envy::Result<T> {
    let defaults = SETTINGS.iter().filter(|it| !it.default.is_empty()).map(|it| (it.name, it.default));
    let mut texts: BTreeMap<&str, &str> = defaults.collect();
    texts.extend(set);
    envy::from_iter(texts.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())))
}
