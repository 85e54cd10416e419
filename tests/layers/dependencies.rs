//! Every dependency of Cargo.toml is used: by the program, by tests or benchmarks, or by the build script.

use std::collections::BTreeSet;
use std::path::Path;

use super::{File, paths, rust_files};

/// Sections of Cargo.toml, with the files and folders that must name their crates.
const SECTIONS: &[(&str, &[&str])] = &[
    ("dependencies", &["src"]),
    ("dev-dependencies", &["src", "tests", "benches"]),
    ("build-dependencies", &["build.rs"]),
];

/// Dependencies that no file names, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Returns the dependencies that `files` don't name, and the exceptions that are not needed.
fn unused(manifest: &str, files: &[File], exceptions: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut used_exceptions = BTreeSet::new();
    for (section, folders) in SECTIONS {
        let named = named_crates(files, folders);
        for dependency in dependencies(manifest, section) {
            let is_exception = exceptions.iter().any(|(name, _)| *name == dependency);
            match (named.contains(&dependency.replace('-', "_")), is_exception) {
                (false, false) => {
                    found.push(format!("{dependency} of [{section}] is not named in {}", folders.join(", ")));
                }
                (false, true) => _ = used_exceptions.insert(dependency),
                (true, _) => {}
            }
        }
    }
    let needless = exceptions.iter().filter(|(name, _)| !used_exceptions.contains(name));
    found.extend(needless.map(|(name, _)| format!("{name} needs no exception")));
    found
}

/// Returns the first names of all paths in these files and folders.
fn named_crates(files: &[File], folders: &[&str]) -> BTreeSet<String> {
    let is_in = |path: &str, folder: &str| path == folder || path.starts_with(&format!("{folder}/"));
    files
        .iter()
        .filter(|file| folders.iter().any(|folder| is_in(&file.path, folder)))
        .flat_map(|file| paths::paths(&file.source, &file.module()))
        .filter_map(|path| path.into_iter().next())
        .collect()
}

/// Returns the names in a section of Cargo.toml, which has one dependency per line.
fn dependencies<'a>(manifest: &'a str, section: &str) -> Vec<&'a str> {
    let header = format!("[{section}]");
    let lines = manifest.lines().skip_while(|line| *line != header).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once('=')?.0.trim())).filter(|name| !name.starts_with('#')).collect()
}

#[test]
fn every_dependency_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("a readable file");
    let mut files = vec![File { path: "build.rs".to_owned(), source: read("build.rs") }];
    for folder in ["src", "tests", "benches"] {
        rust_files(root, folder, &mut files);
    }
    let manifest = read("Cargo.toml");
    for (section, _) in SECTIONS {
        assert!(!dependencies(&manifest, section).is_empty(), "Cargo.toml has no [{section}]");
    }
    assert_eq!(unused(&manifest, &files, EXCEPTIONS), [""; 0]);
}

#[cfg(test)]
const MANIFEST: &str =
    "[package]\nname = \"x\"\n\n[dependencies]\n# Why.\ntokio-util = \"1\"\nserde = { version = \"1\" }\n
[dev-dependencies]\ntempfile = \"3\"\n\n[build-dependencies]\nprotox = \"1\"\n\n[profile.dev]\ndebug = 1\n";

#[cfg(test)]
fn file(path: &str, source: &str) -> File {
    File { path: path.to_owned(), source: source.to_owned() }
}

#[test]
fn dependencies_of_each_section_are_listed() {
    assert_eq!(dependencies(MANIFEST, "dependencies"), ["tokio-util", "serde"]);
    assert_eq!(dependencies(MANIFEST, "build-dependencies"), ["protox"]);
}

#[test]
fn dependency_that_only_the_wrong_folder_names_is_unused() {
    let program = file("src/lib.rs", "use tokio_util::io;\n// serde::Serialize");
    let tests = file("tests/all.rs", "fn f() { tempfile::tempdir(); serde::x() }");
    let build = file("build.rs", "fn main() { protox::compile() }");
    let found = unused(MANIFEST, &[program, tests, build], &[]);
    assert_eq!(found, ["serde of [dependencies] is not named in src"]);
}

#[test]
fn exceptions_must_be_needed() {
    let program = file("src/lib.rs", "use tokio_util::io;");
    let files = [program, file("tests/all.rs", "use tempfile;"), file("build.rs", "use protox;")];
    let found = unused(MANIFEST, &files, &[("serde", "for a test"), ("tempfile", "for a test")]);
    assert_eq!(found, ["tempfile needs no exception"]);
}
