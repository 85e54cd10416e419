//! Rules of the source: imports between layers, crates that a layer may name, and the form of files.
//!
//! Each rule is data or a small function that returns the violations of a file. The tests at the end show that each rule
//! can fail.

mod circles;
mod dependencies;
mod documents;
mod monitoring;
mod paths;
mod tools;
mod words;

use std::fs;
use std::path::Path;

/// Layers, by line: a layer may use the layers above its line, never those on its own line or below.
const LINES: &[&[&str]] = &[
    &["foundation"],
    &["domain"],
    &["subscription"],
    &["config", "clock", "dashboard"],
    &["store"],
    &["cluster", "nodes", "notify"],
    &["actions", "backup"],
    &["scheduler", "api", "cli"],
    &["app"],
];

/// Layers without side effects.
const PURE: &[&str] = &["foundation", "domain", "subscription"];
/// Crates with side effects, which pure layers may not name.
const IMPURE: &[&str] = &["sqlx", "poem", "tokio", "redis", "deadpool_redis", "tonic", "reqwest"];

/// Crates that only these layers may name, so that a replacement of the crate changes no other layer.
const CRATE_LAYERS: &[(&str, &[&str])] = &[("sqlx", &["store", "config"]), ("poem", &["api", "app"])];

/// Functions of `std::env` that read the environment.
const ENVIRONMENT: &[&str] = &["var", "var_os", "vars", "vars_os"];
/// Layers that may read the environment.
const READERS: &[&str] = &["config", "main"];

/// Names that do not describe the content of a module.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "misc"];

/// Most lines of a file of `src`, and of a file of `tests` or `benches`.
const MAX_LINES: usize = 350;
const MAX_TEST_LINES: usize = 450;

/// A Rust file below the repository's root.
struct File {
    /// The path below the repository's root, such as `src/store/users.rs`.
    path: String,
    source: String,
}

impl File {
    /// Returns the module's path: `["store", "users"]` for src/store/users.rs, `["store"]` for src/store/mod.rs, and an
    /// empty one for src/lib.rs.
    fn module(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let inner = inner.strip_suffix("/mod").unwrap_or(inner);
        if inner == "lib" { Vec::new() } else { inner.split('/').collect() }
    }
}

/// Returns the violations of a file, each as a line that names the file.
fn violations(file: &File) -> Vec<String> {
    let mut found = form_violations(file);
    if file.path.starts_with("src/") {
        found.extend(import_violations(file));
    }
    found.iter().map(|violation| format!("{}: {violation}", file.path)).collect()
}

/// Returns the violations of the rules for first lines, lengths and names.
fn form_violations(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    let first = file.source.lines().next().unwrap_or_default();
    let sentence = first.strip_prefix("//! ").unwrap_or_default();
    if sentence.split_whitespace().count() < 2 {
        found.push("the first line must be a `//!` sentence that describes the file".to_owned());
    }
    let lines = file.source.lines().count();
    let most = if file.path.starts_with("src/") { MAX_LINES } else { MAX_TEST_LINES };
    if lines > most {
        found.push(format!("{lines} lines; at most {most} are allowed, 60 to 200 are usual"));
    }
    for name in file.module() {
        if EMPTY_NAMES.contains(&name) {
            found.push(format!("the module name `{name}` does not describe its content"));
        }
    }
    found
}

/// Returns the violations of the rules for paths in the source.
fn import_violations(file: &File) -> Vec<String> {
    let module = file.module();
    let Some(&layer) = module.first() else { return Vec::new() };
    // main.rs belongs to no layer and may use all layers.
    let line = line_of(layer);
    if line.is_none() && layer != "main" {
        return vec![format!("`{layer}` is on no line of tests/layers/mod.rs")];
    }
    let mut found = Vec::new();
    for path in paths::paths(&file.source, &module) {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let shown = names.join("::");
        if let ["crate", used, ..] = names[..]
            && used != layer
            && line_of(used) >= line
            && line_of(used).is_some()
            && line.is_some()
        {
            found.push(format!("`{layer}` must not use `{used}` ({shown})"));
        }
        if PURE.contains(&layer) && IMPURE.contains(&names[0]) {
            found.push(format!("`{layer}` is pure and must not name `{}` ({shown})", names[0]));
        }
        for (krate, layers) in CRATE_LAYERS {
            if names[0] == *krate && !layers.contains(&layer) {
                found.push(format!("only {} may name `{krate}` ({shown})", layers.join(" and ")));
            }
        }
        if !READERS.contains(&layer) && names.windows(2).any(|pair| pair[0] == "env" && ENVIRONMENT.contains(&pair[1]))
        {
            found.push(format!("only {} may read the environment ({shown})", READERS.join(" and ")));
        }
    }
    found
}

fn line_of(layer: &str) -> Option<usize> {
    LINES.iter().position(|layers| layers.contains(&layer))
}

/// Collects the Rust files below `folder`, which is relative to `root`.
fn rust_files(root: &Path, folder: &str, files: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    for name in names {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            rust_files(root, &path, files);
        } else if path.ends_with(".rs") {
            let source = fs::read_to_string(root.join(&path)).expect("a readable file");
            files.push(File { path, source });
        }
    }
}

#[test]
fn source_has_no_violations() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        rust_files(root, folder, &mut files);
    }
    assert!(files.iter().any(|file| file.path == "src/store/mod.rs"), "the source was not found");
    let found: Vec<String> = files.iter().flat_map(violations).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

/// Returns the violations of a file with a first sentence and `code`, as lines.
fn check(path: &str, code: &str) -> String {
    violations(&File { path: path.to_owned(), source: format!("//! Exists for a test.\n{code}") }).join("\n")
}

#[test]
fn layer_uses_only_layers_above_its_line() {
    assert_eq!(check("src/store/users.rs", "use crate::{domain::user::User, store::Db}; use super::Tx;"), "");
    assert_eq!(check("src/main.rs", "use crate::app;"), "");
    for (path, code) in [
        ("src/domain/user.rs", "use crate::store::Db;"),
        ("src/store/mod.rs", "use crate::{domain::ids, actions::Panel};"),
        ("src/cluster/wakeup.rs", "fn f() { crate::nodes::sync() }"),
        ("src/config/mod.rs", "use super::clock::Clock;"),
        ("src/clock.rs", "mod tests { use super::super::config; }"),
        ("src/api/users.rs", "pub(crate) use crate::cli as x;"),
    ] {
        assert!(check(path, code).contains("must not use"), "{path}: {code}");
    }
}

#[test]
fn layer_without_a_line_is_a_violation() {
    assert!(check("src/queue.rs", "").contains("`queue` is on no line"));
}

#[test]
fn pure_layer_names_no_crate_with_effects() {
    assert!(check("src/subscription/xray.rs", "#[tokio::test] fn f() {}").contains("is pure"));
    assert!(check("src/domain/user.rs", "use reqwest;").contains("is pure"));
    assert_eq!(check("src/domain/user.rs", "// tokio::spawn\nconst A: &str = \"sqlx::query\";"), "");
}

#[test]
fn crate_is_named_only_by_its_layers() {
    assert_eq!(check("src/store/db.rs", "use sqlx::PgPool;"), "");
    assert!(check("src/actions/users.rs", "type T = sqlx::Error;").contains("may name `sqlx`"));
    assert_eq!(check("src/api/users.rs", "use poem::Route;"), "");
    assert!(check("src/cli/check.rs", "use poem::Route;").contains("only api and app may name `poem`"));
}

#[test]
fn environment_is_read_only_by_config_and_main() {
    assert_eq!(check("src/config/mod.rs", "fn f() { std::env::vars_os(); }"), "");
    assert_eq!(check("src/app/mod.rs", "const A: &str = env!(\"CARGO_PKG_VERSION\"); use std::env::current_dir;"), "");
    for code in ["fn f() { std::env::var(\"A\"); }", "use std::env::{self, vars_os};", "fn f() { env::var_os(\"A\"); }"]
    {
        assert!(check("src/app/mod.rs", code).contains("may read the environment"), "{code}");
    }
}

#[test]
fn file_without_a_first_sentence_is_a_violation() {
    for source in ["", "fn main() {}", "// A plain comment.", "//!", "//! Users", "\n//! Too late for a reason."] {
        let file = File { path: "tests/x.rs".to_owned(), source: source.to_owned() };
        assert!(violations(&file).join("").contains("`//!` sentence"), "{source:?}");
    }
}

#[test]
fn file_above_the_length_limit_is_a_violation() {
    assert_eq!(check("src/app/mod.rs", &"\n".repeat(MAX_LINES - 1)), "");
    assert!(check("src/app/mod.rs", &"\n".repeat(MAX_LINES)).contains("351 lines"));
}

#[test]
fn name_without_meaning_is_a_violation() {
    for path in ["src/api/utils.rs", "src/store/helpers/mod.rs", "tests/common/mod.rs"] {
        assert!(check(path, "").contains("does not describe its content"), "{path}");
    }
}

#[test]
fn nested_folders_are_searched() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(root.path().join("src/domain/deep")).expect("folders");
    fs::write(root.path().join("src/domain/deep/mod.rs"), "use crate::app;").expect("a file");
    fs::write(root.path().join("src/domain/notes.md"), "use crate::app;").expect("a file");
    let mut files = Vec::new();
    rust_files(root.path(), "src", &mut files);
    let found: Vec<String> = files.iter().flat_map(violations).collect();
    assert_eq!(found.len(), 2, "one import, one missing sentence: {found:?}");
    assert!(found.iter().all(|violation| violation.starts_with("src/domain/deep/mod.rs: ")), "{found:?}");
}
