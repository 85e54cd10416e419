//! Holds the rules of the house: who may import whom, who may name which crate, and how a file looks.
//!
//! Each rule is data or a small function from a file to its breaches; the tests at the end show that each can fail.

mod circles;
mod dependencies;
mod monitoring;
mod paths;
mod words;

use std::fs;
use std::path::Path;

/// The rooms from the top down: a room may use those above its line, never its own line or below.
const LINES: &[&[&str]] = &[
    &["foundation"],
    &["domain"],
    &["subscription"],
    &["config", "clock"],
    &["store"],
    &["cluster", "nodes", "notify"],
    &["actions"],
    &["scheduler", "api", "cli"],
    &["app"],
];

/// Rooms without effects, and the crates that bring effects.
const PURE: &[&str] = &["foundation", "domain", "subscription"];
const IMPURE: &[&str] = &["sqlx", "poem", "tokio", "redis", "deadpool_redis", "tonic", "reqwest"];

/// Crates that only these rooms may name, so that replacing one touches nothing else.
const AT_HOME: &[(&str, &[&str])] = &[("sqlx", &["store", "config"]), ("poem", &["api", "app"])];

/// Functions of `std::env` that read the environment; only these rooms may name them.
const ENVIRONMENT: &[&str] = &["var", "var_os", "vars", "vars_os"];
const READERS: &[&str] = &["config", "main"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "misc"];

/// Most lines of a file of `src`, and of a file of `tests` or `benches`.
const MAX_LINES: usize = 350;
const MAX_TEST_LINES: usize = 450;

/// A Rust file below the repository's root.
struct File {
    /// `src/store/users.rs`
    path: String,
    source: String,
}

impl File {
    /// `["store", "users"]` for src/store/users.rs, `["store"]` for src/store/mod.rs, nothing for src/lib.rs.
    fn module(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let inner = inner.strip_suffix("/mod").unwrap_or(inner);
        if inner == "lib" { Vec::new() } else { inner.split('/').collect() }
    }
}

/// All breaches of a file, each a line that a person can act on.
fn breaches(file: &File) -> Vec<String> {
    let mut found = looks(file);
    if file.path.starts_with("src/") {
        found.extend(imports(file));
    }
    found.iter().map(|what| format!("{}: {what}", file.path)).collect()
}

fn looks(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    let first = file.source.lines().next().unwrap_or_default();
    let sentence = first.strip_prefix("//! ").unwrap_or_default();
    if sentence.split_whitespace().count() < 2 {
        found.push("the first line must be a `//!` sentence that says why the file exists".to_owned());
    }
    let lines = file.source.lines().count();
    let most = if file.path.starts_with("src/") { MAX_LINES } else { MAX_TEST_LINES };
    if lines > most {
        found.push(format!("{lines} lines; at most {most} are allowed, 60 to 200 are usual"));
    }
    for name in file.module() {
        if EMPTY_NAMES.contains(&name) {
            found.push(format!("a module called `{name}` says nothing about what is inside"));
        }
    }
    found
}

fn imports(file: &File) -> Vec<String> {
    let module = file.module();
    let Some(&room) = module.first() else { return Vec::new() };
    // main.rs stands outside of all rooms and may use any.
    let line = line_of(room);
    if line.is_none() && room != "main" {
        return vec![format!("`{room}` is on no line of tests/layers.rs")];
    }
    let mut found = Vec::new();
    for path in paths::paths(&file.source, &module) {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let shown = names.join("::");
        if let ["crate", used, ..] = names[..]
            && used != room
            && line_of(used) >= line
            && line_of(used).is_some()
            && line.is_some()
        {
            found.push(format!("`{room}` must not use `{used}` ({shown})"));
        }
        if PURE.contains(&room) && IMPURE.contains(&names[0]) {
            found.push(format!("`{room}` is pure and must not name `{}` ({shown})", names[0]));
        }
        for (krate, homes) in AT_HOME {
            if names[0] == *krate && !homes.contains(&room) {
                found.push(format!("only {} may name `{krate}` ({shown})", homes.join(" and ")));
            }
        }
        if !READERS.contains(&room) && names.windows(2).any(|pair| pair[0] == "env" && ENVIRONMENT.contains(&pair[1])) {
            found.push(format!("only {} may read the environment ({shown})", READERS.join(" and ")));
        }
    }
    found
}

fn line_of(room: &str) -> Option<usize> {
    LINES.iter().position(|rooms| rooms.contains(&room))
}

/// The Rust files below `folder`, which is relative to `root`.
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
fn the_rules_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        rust_files(root, folder, &mut files);
    }
    assert!(files.iter().any(|file| file.path == "src/store/mod.rs"), "the source was not found");
    let found: Vec<String> = files.iter().flat_map(breaches).collect();
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

/// What is wrong with a file of this path that says why it exists and then goes on with `code`.
fn judge(path: &str, code: &str) -> String {
    breaches(&File { path: path.to_owned(), source: format!("//! Exists for a test.\n{code}") }).join("\n")
}

#[test]
fn a_room_may_use_the_rooms_above_its_line_only() {
    assert_eq!(judge("src/store/users.rs", "use crate::{domain::user::User, store::Db}; use super::Tx;"), "");
    assert_eq!(judge("src/main.rs", "use crate::app;"), "");
    for (path, code) in [
        ("src/domain/user.rs", "use crate::store::Db;"),
        ("src/store/mod.rs", "use crate::{domain::ids, actions::Panel};"),
        ("src/cluster/wakeup.rs", "fn f() { crate::nodes::sync() }"),
        ("src/config/mod.rs", "use super::clock::Clock;"),
        ("src/clock.rs", "mod tests { use super::super::config; }"),
        ("src/api/users.rs", "pub(crate) use crate::cli as x;"),
    ] {
        assert!(judge(path, code).contains("must not use"), "{path}: {code}");
    }
}

#[test]
fn a_room_without_a_line_is_noticed() {
    assert!(judge("src/queue.rs", "").contains("`queue` is on no line"));
}

#[test]
fn pure_rooms_name_no_crate_with_effects() {
    assert!(judge("src/subscription/xray.rs", "#[tokio::test] fn f() {}").contains("is pure"));
    assert!(judge("src/domain/user.rs", "use reqwest;").contains("is pure"));
    assert_eq!(judge("src/domain/user.rs", "// tokio::spawn\nconst A: &str = \"sqlx::query\";"), "");
}

#[test]
fn crates_stay_at_home() {
    assert_eq!(judge("src/store/db.rs", "use sqlx::PgPool;"), "");
    assert!(judge("src/actions/users.rs", "type T = sqlx::Error;").contains("may name `sqlx`"));
    assert_eq!(judge("src/api/users.rs", "use poem::Route;"), "");
    assert!(judge("src/cli/check.rs", "use poem::Route;").contains("only api and app may name `poem`"));
}

#[test]
fn the_environment_is_read_in_one_place() {
    assert_eq!(judge("src/config/mod.rs", "fn f() { std::env::vars_os(); }"), "");
    assert_eq!(judge("src/app/mod.rs", "const A: &str = env!(\"CARGO_PKG_VERSION\"); use std::env::current_dir;"), "");
    for code in ["fn f() { std::env::var(\"A\"); }", "use std::env::{self, vars_os};", "fn f() { env::var_os(\"A\"); }"]
    {
        assert!(judge("src/app/mod.rs", code).contains("may read the environment"), "{code}");
    }
}

#[test]
fn a_file_says_why_it_exists() {
    for source in ["", "fn main() {}", "// A plain comment.", "//!", "//! Users", "\n//! Too late for a reason."] {
        let file = File { path: "tests/x.rs".to_owned(), source: source.to_owned() };
        assert!(breaches(&file).join("").contains("`//!` sentence"), "{source:?}");
    }
}

#[test]
fn a_file_ends_at_its_limit() {
    assert_eq!(judge("src/app/mod.rs", &"\n".repeat(MAX_LINES - 1)), "");
    assert!(judge("src/app/mod.rs", &"\n".repeat(MAX_LINES)).contains("351 lines"));
}

#[test]
fn empty_names_are_refused() {
    for path in ["src/api/utils.rs", "src/store/helpers/mod.rs", "tests/common/mod.rs"] {
        assert!(judge(path, "").contains("says nothing about what is inside"), "{path}");
    }
}

#[test]
fn a_folder_is_searched_to_its_depths() {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(root.path().join("src/domain/deep")).expect("folders");
    fs::write(root.path().join("src/domain/deep/mod.rs"), "use crate::app;").expect("a file");
    fs::write(root.path().join("src/domain/notes.md"), "use crate::app;").expect("a file");
    let mut files = Vec::new();
    rust_files(root.path(), "src", &mut files);
    let found: Vec<String> = files.iter().flat_map(breaches).collect();
    assert_eq!(found.len(), 2, "one import, one missing sentence: {found:?}");
    assert!(found.iter().all(|breach| breach.starts_with("src/domain/deep/mod.rs: ")), "{found:?}");
}
