//! Reads a section of the settings with envy, naming every wrong value and not only the first.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::env::Values;
use super::names::SETTINGS;
use super::wrong::SettingError;

/// A section, or none when one of its settings is wrong; then `errors` names all that are.
///
/// envy stops at the first wrong field. But every setting has a default or may be missing, so a section can be read
/// with one given value at a time: what fails then is that value.
pub(super) fn read<T: DeserializeOwned>(values: &Values, errors: &mut Vec<SettingError>) -> Option<T> {
    let before = errors.len();
    for (setting, text) in values.given() {
        if let Err(error) = deserialize::<T>([(setting.name, text)]) {
            let shown = (!setting.secret).then_some(text);
            errors.push(SettingError::value(setting.name, &error.to_string(), shown));
        }
    }
    if errors.len() > before {
        return None;
    }
    let given = values.given().map(|(setting, text)| (setting.name, text));
    deserialize(given).map_err(|error| errors.push(SettingError::new(error.to_string()))).ok()
}

fn deserialize<'a, T: DeserializeOwned>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> envy::Result<T> {
    let defaults = SETTINGS.iter().filter(|it| !it.default.is_empty()).map(|it| (it.name, it.default));
    let mut texts: BTreeMap<&str, &str> = defaults.collect();
    texts.extend(given);
    envy::from_iter(texts.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())))
}
