//! Tests and files that the documentation names exist, so that each promise can be checked.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fancy_regex::Regex;

use super::{File, rust_files};

/// Documents that name tests for what they promise.
const DOCUMENTS: &[&str] = &["docs/operations.md", "docs/security.md"];
/// Endings of names that are metrics, and prefixes of those that are settings of other programs.
const OTHER_NAMES: &[&str] = &["_total", "_seconds", "_waiting", "_bytes", "_retry"];
/// Folders whose files documents name by their path.
const FOLDERS: &[&str] = &["benches/", "dashboard/", "deploy/", "docs/", "src/", "tests/"];

/// Returns the texts between single backquotes.
fn quoted(document: &str) -> Vec<String> {
    let quoted = Regex::new("`([^`\n]+)`").expect("a pattern");
    quoted.captures_iter(document).map(|found| found.expect("a match")[1].to_owned()).collect()
}

/// Returns what a document names that is neither a test of `tests` nor a file of `exists`.
fn unknown(document: &str, tests: &BTreeSet<String>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    // Names of four words and more are names of tests: settings are in capitals, and columns are shorter.
    let name = Regex::new("^[a-z0-9]+(_[a-z0-9]+){3,}$").expect("a pattern");
    let mut found = quoted(document);
    found.retain(|text| {
        if FOLDERS.iter().any(|folder| text.starts_with(folder)) {
            return !exists(text);
        }
        let is_other = OTHER_NAMES.iter().any(|ending| text.ends_with(ending));
        name.is_match(text).expect("a match") && !is_other && !tests.contains(text)
    });
    found
}

#[test]
fn tests_and_files_that_documents_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        rust_files(root, folder, &mut files);
    }
    let mut sources: Vec<String> = files.into_iter().map(|File { source, .. }| source).collect();
    sources.push(fs::read_to_string(root.join("tests/deploy/proxies.py")).expect("a script"));
    let function = Regex::new(r"\b(?:fn|def) ([a-z0-9_]+)").expect("a pattern");
    let tests: BTreeSet<String> = sources
        .iter()
        .flat_map(|source| function.captures_iter(source).map(|found| found.expect("a match")[1].to_owned()))
        .collect();
    for path in DOCUMENTS {
        let document = fs::read_to_string(root.join(path)).expect("a document");
        assert!(document.matches("`tests/").count() > 10, "{path} names its tests");
        let found = unknown(&document, &tests, |path| root.join(path).exists());
        assert!(found.is_empty(), "{path} names what does not exist: {found:?}");
    }
}

#[test]
fn names_without_a_test_or_a_file_are_found() {
    let tests = BTreeSet::from(["request_that_waits_is_refused".to_owned()]);
    let document = "Waits (`request_that_waits_is_refused`, `tests/api/limits.rs`), metric `http_requests_shed_total`, setting \
                    `METRICS_TOKEN`, column `synced_at`; `request_that_waits_is_served`, `tests/api/limit.rs`.";
    let found = unknown(document, &tests, |path| path == "tests/api/limits.rs");
    assert_eq!(found, ["request_that_waits_is_served", "tests/api/limit.rs"]);
}
