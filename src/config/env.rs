//! Collects the values of all settings: from the process's variables, then `.env`; secrets also from files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::errors::SettingError;
use super::names::{SETTINGS, Setting, is_setting};
use super::source::{Source, Sources, Value};
use super::{env_file, old_values};

/// The values of the settings that are set.
pub(super) struct Values {
    set: Vec<(&'static Setting, String)>,
    sources: HashMap<&'static str, Source>,
    /// Files that secrets were read from.
    files: Vec<PathBuf>,
    /// Values that are not used as they are written.
    warnings: Vec<String>,
}

/// The variables of the process, or those of `.env`.
type Layer = HashMap<String, Value>;

impl Values {
    /// Collects the values. A value that can't be read is reported in `errors` and counts as not set.
    pub(super) fn collect(
        variables: impl Iterator<Item = (OsString, OsString)>,
        dotenv_text: Option<&str>,
        errors: &mut Vec<SettingError>,
    ) -> Self {
        let process = utf8_variables(variables, errors);
        let mut warnings = Vec::new();
        let file = dotenv_text.map(|text| env_file::variables(text, &process, errors, &mut warnings));
        let process = process.into_iter().map(|(name, text)| (name, Value { text, line: None })).collect();
        let mut all = Self { set: Vec::new(), sources: HashMap::new(), files: Vec::new(), warnings };
        for setting in SETTINGS {
            // A variable of the process wins over `.env`, whether either gives the name, the alias or a file.
            let mut value = |layer| value_in(layer, setting, &mut all.files, errors);
            if let Some((text, source)) = value(&process).or_else(|| file.as_ref().and_then(value)) {
                all.add(setting, text, source);
            }
        }
        all
    }

    fn add(&mut self, setting: &'static Setting, mut text: String, source: Source) {
        if let Some(instead) = old_values::instead(setting.name, &text) {
            self.warnings.extend(instead.warning.map(|warning| format!("{source} {warning}")));
            let Some(other) = instead.text else { return };
            text = other;
        }
        self.set.push((setting, text));
        self.sources.insert(setting.name, source);
    }

    /// The files that secrets were read from.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Sentences about values that are not used as they are written.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The settings that are set, each with its value and where it was read.
    pub(super) fn set(&self) -> impl Iterator<Item = (&'static Setting, &str, &Source)> {
        self.set.iter().map(|(setting, text)| (*setting, text.as_str(), &self.sources[setting.name]))
    }

    /// Where each setting was read.
    pub(super) fn sources(&self) -> Sources {
        Sources(self.sources.clone())
    }
}

/// Returns the variables whose name and value are UTF-8, and reports settings whose value is not.
fn utf8_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
    errors: &mut Vec<SettingError>,
) -> HashMap<String, String> {
    let mut texts = HashMap::new();
    for (name, value) in variables {
        // The names of all settings are UTF-8.
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                texts.insert(name, value);
            }
            Err(_) if is_setting(&name) => errors.push(SettingError::value(&name, "must be UTF-8 text", None)),
            Err(_) => {}
        }
    }
    texts
}

/// Returns the value of a setting in a layer, under its name or else under its alias.
fn value_in(
    layer: &Layer,
    setting: &Setting,
    files: &mut Vec<PathBuf>,
    errors: &mut Vec<SettingError>,
) -> Option<(String, Source)> {
    [Some(setting.name), setting.alias]
        .into_iter()
        .flatten()
        .find_map(|name| value_of(layer, name, setting.secret, files, errors))
}

fn value_of(
    layer: &Layer,
    name: &str,
    secret: bool,
    files: &mut Vec<PathBuf>,
    errors: &mut Vec<SettingError>,
) -> Option<(String, Source)> {
    // An empty value means "not set".
    let value_at = |name: &str| layer.get(name).filter(|value| !value.text.trim().is_empty());
    let source = |line, file_variable| Source { name: name.to_owned(), file_variable, line };
    let value = value_at(name);
    if !secret {
        return value.map(|value| (value.text.trim().to_owned(), source(value.line, None)));
    }
    let file_name = format!("{name}_FILE");
    let Some(path) = value_at(&file_name) else {
        return value.map(|value| (value.text.clone(), source(value.line, None)));
    };
    if value.is_some() {
        errors.push(SettingError::new(format!("{name} and {file_name} are both set; set only one of them")));
        return None;
    }
    match fs::read_to_string(path.text.trim()) {
        // Editors and `echo` end a file with a line break that is not part of the secret.
        Ok(text) => {
            files.push(PathBuf::from(path.text.trim()));
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            let text = Some(text.to_owned()).filter(|text| !text.trim().is_empty());
            text.map(|text| (text, source(path.line, Some(file_name))))
        }
        Err(error) => {
            let problem = format!("must name a readable file ({error})");
            let source = Source { name: file_name, file_variable: None, line: path.line };
            errors.push(SettingError::value(&source.to_string(), &problem, Some(&path.text)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn collect(variables: &[(&str, &str)], dotenv: &str) -> (HashMap<&'static str, String>, Vec<String>) {
        let mut errors = Vec::new();
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let values = Values::collect(variables, Some(dotenv), &mut errors);
        let set = values.set().map(|(setting, text, _)| (setting.name, text.to_owned())).collect();
        (set, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn variable_wins_over_dotenv_and_empty_value_is_not_set() {
        let (set, errors) =
            collect(&[("UVICORN_PORT", " 1 "), ("DEBUG", ""), ("HOME", "/")], "UVICORN_PORT=2\nDEBUG=true\nDOCS=''");
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(set, HashMap::from([("UVICORN_PORT", "1".to_owned()), ("DEBUG", "true".to_owned())]));
    }

    #[test]
    fn alias_is_used_when_the_name_is_not_set() {
        let (set, _) = collect(&[("DATABASE_URL", "sqlite:///a")], "SQLALCHEMY_DATABASE_URL=sqlite:///b");
        assert_eq!(set["SQLALCHEMY_DATABASE_URL"], "sqlite:///a", "the process wins over the file");
        let (set, _) = collect(&[("DATABASE_URL", "sqlite:///a"), ("SQLALCHEMY_DATABASE_URL", "sqlite:///b")], "");
        assert_eq!(set["SQLALCHEMY_DATABASE_URL"], "sqlite:///b");
    }

    #[test]
    fn secret_is_read_from_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let name = path.to_str().expect("a name");
        for (text, secret) in [("a b\n", Some("a b")), ("x\r\n", Some("x")), ("y\n\n", Some("y\n")), ("\n", None)] {
            fs::write(&path, text).expect("a file");
            let (set, errors) = collect(&[("METRICS_TOKEN_FILE", name)], "METRICS_TOKEN=other");
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(set.get("METRICS_TOKEN").map(String::as_str), Some(secret.unwrap_or("other")), "{text:?}");
        }
        let (set, errors) = collect(&[("METRICS_TOKEN_FILE", name), ("METRICS_TOKEN", "t0p")], "");
        assert!(set.is_empty());
        assert_eq!(errors, ["METRICS_TOKEN and METRICS_TOKEN_FILE are both set; set only one of them"]);
        let (_, errors) = collect(&[("REDIS_URL_FILE", "/nowhere/redis")], "");
        assert!(errors[0].starts_with("REDIS_URL_FILE must name a readable file"), "{errors:?}");
        let (_, errors) = collect(&[], "\nREDIS_URL_FILE=/nowhere/redis");
        assert!(errors[0].starts_with("REDIS_URL_FILE (line 2 of .env) must name a readable file"), "{errors:?}");
        let (set, errors) = collect(&[("UVICORN_PORT_FILE", name)], "");
        assert!(set.is_empty() && errors.is_empty(), "only secrets have files");
    }

    #[test]
    fn only_settings_that_are_not_utf8_are_errors() {
        let mut errors = Vec::new();
        let broken = || OsString::from_vec(vec![0xff, 0xfe]);
        let names = ["UVICORN_HOST", "REDIS_URL_FILE", "LS_COLORS"].map(|name| (OsString::from(name), broken()));
        let variables = names.into_iter().chain([(broken(), broken())]);
        Values::collect(variables, None, &mut errors);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["UVICORN_HOST must be UTF-8 text", "REDIS_URL_FILE must be UTF-8 text"]);
    }
}
