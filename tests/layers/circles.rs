//! Finds circles of imports between files: files of a circle can only be understood together.
//!
//! A file imports the file that declares what it names: a name that a `mod.rs` re-exports (`pub use`) leads to the file
//! behind it. Declaring a child (`mod child;`) is no import, and unit tests at a file's end may import what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::paths::paths;
use super::{File, rust_files};

/// Each circle as the list of its files, in alphabetical order.
pub fn circles(files: &[File]) -> Vec<Vec<&str>> {
    let imports = imports(files);
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (*file, reachable(file, &imports))).collect();
    let mut found = BTreeSet::new();
    for (file, targets) in &reached {
        if targets.contains(file) {
            let circle: Vec<&str> = targets.iter().copied().filter(|other| reached[other].contains(file)).collect();
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

/// The files that each file imports.
pub fn imports(files: &[File]) -> BTreeMap<&str, BTreeSet<&str>> {
    let files: Vec<&File> = files.iter().filter(|file| file.path.starts_with("src/")).collect();
    let by_module: BTreeMap<Vec<&str>, &File> = files.iter().map(|file| (file.module(), *file)).collect();
    let map = Map { re_exports: files.iter().map(|file| (file.module(), re_exports(file))).collect(), by_module };
    files.iter().map(|file| (file.path.as_str(), map.imported_by(file))).collect()
}

struct Map<'a> {
    by_module: BTreeMap<Vec<&'a str>, &'a File>,
    /// By module: the name that others use, and where it comes from.
    re_exports: BTreeMap<Vec<&'a str>, Vec<(String, Vec<String>)>>,
}

impl<'a> Map<'a> {
    fn imported_by(&self, file: &File) -> BTreeSet<&'a str> {
        let module = file.module();
        let source = without_visibilities(without_tests(&file.source));
        let own_re_exports = re_exports(file);
        let mut found = BTreeSet::new();
        for path in paths(&source, &module) {
            let Some(path) = self.absolute(&path, &module) else { continue };
            if file.path.ends_with("mod.rs") && own_re_exports.iter().any(|(_, origin)| *origin == path) {
                continue;
            }
            if let Some(target) = self.file_of(&path, 8)
                && target.path != file.path
            {
                found.insert(target.path.as_str());
            }
        }
        found
    }

    /// The path below `crate`, also of one that begins with a child of this module.
    fn absolute(&self, path: &[String], module: &[&str]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        if first == "crate" {
            return Some(rest.to_vec());
        }
        let mut child = module.to_vec();
        child.push(first);
        self.by_module
            .contains_key(&child)
            .then(|| child.iter().map(|name| (*name).to_owned()).chain(rest.to_vec()).collect())
    }

    /// The file that declares what the path names.
    fn file_of(&self, path: &[String], steps: usize) -> Option<&'a File> {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let length = (0..=names.len()).rev().find(|length| self.by_module.contains_key(&names[..*length]))?;
        let (module, rest) = names.split_at(length);
        if let Some(item) = rest.first()
            && steps > 0
            && let Some((_, origin)) = self.re_exports[module].iter().find(|(name, _)| name == item)
        {
            return self.file_of(origin, steps - 1);
        }
        // The crate's root declares modules and nothing else.
        (length > 0).then(|| self.by_module[module])
    }
}

/// Returns the names that a file re-exports with `pub use`, each with its path below `crate`.
fn re_exports(file: &File) -> Vec<(String, Vec<String>)> {
    let module = file.module();
    let mut found = Vec::new();
    for statement in without_tests(&file.source).split(';') {
        let Some(at) = statement.find("pub use ").or_else(|| {
            let at = statement.find("pub(")?;
            statement[at..].split_once(')')?.1.starts_with(" use ").then_some(at)
        }) else {
            continue;
        };
        for path in paths(&format!("{};", &statement[at..]), &module) {
            let Some((first, rest)) = path.split_first() else { continue };
            let mut origin: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
            if first == "crate" {
                origin = rest.to_vec();
            } else {
                origin.extend(path.clone());
            }
            if let Some(name) = path.last() {
                found.push((name.clone(), origin));
            }
        }
    }
    found
}

fn without_tests(source: &str) -> &str {
    source.find("#[cfg(test)]\nmod tests {").map_or(source, |at| &source[..at])
}

/// `pub(in crate::store)` names a module without importing it.
fn without_visibilities(source: &str) -> String {
    let mut parts = source.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "pub" + part.split_once(')').map_or(part, |(_, rest)| rest))
}

fn reachable<'a>(from: &'a str, imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for target in imports.get(file).into_iter().flatten() {
            if reached.insert(*target) {
                open.push(target);
            }
        }
    }
    reached
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut files = Vec::new();
    rust_files(Path::new(env!("CARGO_MANIFEST_DIR")), "src", &mut files);
    let found: Vec<String> = circles(&files).iter().map(|circle| circle.join(" ")).collect();
    assert!(found.is_empty(), "{} circles:\n{}", found.len(), found.join("\n"));
}

mod tests {
    use super::*;

    fn file(path: &str, source: &str) -> File {
        File { path: path.to_owned(), source: source.to_owned() }
    }

    #[test]
    fn circle_of_three_files_is_found_whole() {
        let files = [
            file("src/a/mod.rs", "mod x; mod y; mod z;"),
            file("src/a/x.rs", "use super::y::Y;"),
            file("src/a/y.rs", "fn f() { crate::a::z::g() }"),
            file("src/a/z.rs", "use super::x;"),
            file("src/b.rs", "use crate::a::x::X;"),
        ];
        assert_eq!(circles(&files), [["src/a/x.rs", "src/a/y.rs", "src/a/z.rs"]]);
    }

    #[test]
    fn re_exported_name_leads_to_the_file_that_declares_it() {
        let files = [
            file("src/a/mod.rs", "mod x; mod y; pub use x::X; pub(crate) use self::y::{Y, Z};"),
            file("src/a/x.rs", "use super::Y;"),
            file("src/a/y.rs", "pub struct Y;"),
        ];
        assert!(circles(&files).is_empty(), "{:?}", circles(&files));
        assert_eq!(imports(&files)["src/a/x.rs"], BTreeSet::from(["src/a/y.rs"]));
    }

    #[test]
    fn parent_that_uses_its_child_and_is_used_by_it_is_a_circle() {
        let files = [
            file("src/a/mod.rs", "mod x; fn f() { x::g() } pub struct A;"),
            file("src/a/x.rs", "use super::A; pub fn g() {}"),
        ];
        assert_eq!(circles(&files), [["src/a/mod.rs", "src/a/x.rs"]]);
    }

    #[test]
    fn unit_tests_may_import_their_callers() {
        let files = [
            file("src/a/mod.rs", "mod x; mod y;"),
            file("src/a/x.rs", "use super::y;"),
            file("src/a/y.rs", "pub fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::a::x;\n}\n"),
        ];
        assert!(circles(&files).is_empty());
    }
}
