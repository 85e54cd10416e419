//! Gathers the settings' texts: variables of the process, then `.env`, then defaults; secrets also from files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;

use super::dotenv;
use super::names::{SETTINGS, Setting};
use super::wrong::SettingError;

/// The text of every setting that has one.
pub(super) struct Values {
    /// What somebody set.
    given: Vec<(&'static Setting, String)>,
}

impl Values {
    /// Gathers. What can't be read is named in `errors` and counts as not set.
    pub(super) fn gather(
        variables: impl Iterator<Item = (OsString, OsString)>,
        dotenv_text: Option<&str>,
        errors: &mut Vec<SettingError>,
    ) -> Self {
        let process = process(variables, errors);
        let file = dotenv_text.map(|text| dotenv::read(text, errors)).unwrap_or_default();
        let given = SETTINGS.iter().filter_map(|setting| {
            // One layer at a time: a real variable wins over `.env`, also over the file or the second name there.
            let text = given(&process, setting, errors).or_else(|| given(&file, setting, errors))?;
            Some((setting, text))
        });
        Self { given: given.collect() }
    }

    /// What somebody set.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static Setting, &str)> {
        self.given.iter().map(|(setting, text)| (*setting, text.as_str()))
    }
}

/// The variables that are settings, as text.
fn process(
    variables: impl Iterator<Item = (OsString, OsString)>,
    errors: &mut Vec<SettingError>,
) -> HashMap<String, String> {
    let mut texts = HashMap::new();
    for (name, value) in variables {
        // A name that is not text is none of ours.
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

fn is_setting(name: &str) -> bool {
    let of = |name: &str| SETTINGS.iter().find(|it| it.name == name || it.alias == Some(name));
    of(name).is_some() || name.strip_suffix("_FILE").and_then(of).is_some_and(|it| it.secret)
}

/// What a layer says about a setting, by its first name or else by its second.
fn given(layer: &HashMap<String, String>, setting: &Setting, errors: &mut Vec<SettingError>) -> Option<String> {
    [Some(setting.name), setting.alias]
        .into_iter()
        .flatten()
        .find_map(|name| named(layer, name, setting.secret, errors))
}

fn named(layer: &HashMap<String, String>, name: &str, secret: bool, errors: &mut Vec<SettingError>) -> Option<String> {
    // An empty value means "not set".
    let text = |name: &str| layer.get(name).filter(|text| !text.trim().is_empty());
    let value = text(name);
    if !secret {
        return value.map(|value| value.trim().to_owned());
    }
    let file_name = format!("{name}_FILE");
    let Some(path) = text(&file_name) else { return value.cloned() };
    if value.is_some() {
        errors.push(SettingError::new(format!("{name} and {file_name} are both set; keep one of them")));
        return None;
    }
    match fs::read_to_string(path.trim()) {
        // Editors and `echo` end a file with a line break; a secret does not.
        Ok(text) => {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            Some(text.to_owned()).filter(|text| !text.trim().is_empty())
        }
        Err(error) => {
            let problem = format!("must name a file that can be read ({error})");
            errors.push(SettingError::value(&file_name, &problem, Some(path)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn gather(variables: &[(&str, &str)], dotenv: &str) -> (HashMap<&'static str, String>, Vec<String>) {
        let mut errors = Vec::new();
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let values = Values::gather(variables, Some(dotenv), &mut errors);
        let given = values.given().map(|(setting, text)| (setting.name, text.to_owned())).collect();
        (given, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_real_variable_wins_and_an_empty_one_is_not_set() {
        let (given, errors) =
            gather(&[("UVICORN_PORT", " 1 "), ("DEBUG", ""), ("HOME", "/")], "UVICORN_PORT=2\nDEBUG=true\nDOCS=''");
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(given, HashMap::from([("UVICORN_PORT", "1".to_owned()), ("DEBUG", "true".to_owned())]));
    }

    #[test]
    fn the_second_name_counts_where_the_first_is_not_set() {
        let (given, _) = gather(&[("DATABASE_URL", "sqlite:///a")], "SQLALCHEMY_DATABASE_URL=sqlite:///b");
        assert_eq!(given["SQLALCHEMY_DATABASE_URL"], "sqlite:///a", "the process wins over the file");
        let (given, _) = gather(&[("DATABASE_URL", "sqlite:///a"), ("SQLALCHEMY_DATABASE_URL", "sqlite:///b")], "");
        assert_eq!(given["SQLALCHEMY_DATABASE_URL"], "sqlite:///b");
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let name = path.to_str().expect("a name");
        for (text, secret) in [("a b\n", Some("a b")), ("x\r\n", Some("x")), ("y\n\n", Some("y\n")), ("\n", None)] {
            fs::write(&path, text).expect("a file");
            let (given, errors) = gather(&[("METRICS_TOKEN_FILE", name)], "METRICS_TOKEN=other");
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(given.get("METRICS_TOKEN").map(String::as_str), Some(secret.unwrap_or("other")), "{text:?}");
        }
        let (given, errors) = gather(&[("METRICS_TOKEN_FILE", name), ("METRICS_TOKEN", "t0p")], "");
        assert!(given.is_empty());
        assert_eq!(errors, ["METRICS_TOKEN and METRICS_TOKEN_FILE are both set; keep one of them"]);
        let (_, errors) = gather(&[("REDIS_URL_FILE", "/nowhere/redis")], "");
        assert!(errors[0].starts_with("REDIS_URL_FILE must name a file that can be read"), "{errors:?}");
        let (given, errors) = gather(&[("UVICORN_PORT_FILE", name)], "");
        assert!(given.is_empty() && errors.is_empty(), "only secrets have files");
    }

    #[test]
    fn a_value_that_is_not_text_is_named_when_it_is_ours() {
        let mut errors = Vec::new();
        let broken = || OsString::from_vec(vec![0xff, 0xfe]);
        let names = ["UVICORN_HOST", "REDIS_URL_FILE", "LS_COLORS"].map(|name| (OsString::from(name), broken()));
        let variables = names.into_iter().chain([(broken(), broken())]);
        Values::gather(variables, None, &mut errors);
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["UVICORN_HOST must be UTF-8 text", "REDIS_URL_FILE must be UTF-8 text"]);
    }
}
