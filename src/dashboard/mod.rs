//! The files of the dashboard, built from `dashboard/` by `make dashboard` and embedded in the binary.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A file that the page loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Value of `Content-Type`.
    pub media_type: &'static str,
    /// The content, compressed with gzip.
    pub gzip: &'static [u8],
    /// Changes with the content; the page asks for the file with `?v=` and this version.
    pub version: &'static str,
}

/// Names and contents of all files that the build has made.
const CONTENTS: &[(&str, &[u8])] = &include!("dist/files.in");

/// A line per file: its name and its version.
const VERSIONS: &str = include_str!("dist/versions.txt");

const PAGE: &str = include_str!("dist/index.html");

/// The text of the page that names the panel's root; [`page`] replaces it.
const ROOT: &str = r#"content="../""#;

static FILES: LazyLock<BTreeMap<&str, File>> = LazyLock::new(|| {
    let version = |name| VERSIONS.lines().filter_map(|line| line.split_once(' ')).find(|(file, _)| *file == name);
    CONTENTS
        .iter()
        .filter_map(|(name, gzip)| {
            let (_, version) = version(*name)?;
            Some((*name, File { media_type: media_type(name), gzip, version }))
        })
        .collect()
});

/// Returns the file with this name, or `None` if the page has no such file.
pub fn file(name: &str) -> Option<File> {
    FILES.get(name).copied()
}

/// Names of all files, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CONTENTS.iter().map(|(name, _)| *name)
}

/// Returns the page, for a dashboard at `path`, such as `/dashboard/`. The page calls the API at a path relative to its
/// own, so it works below any path that a proxy adds.
pub fn page(path: &str) -> String {
    let depth = path.split('/').filter(|part| !part.is_empty()).count();
    PAGE.replacen(ROOT, &format!(r#"content="{}""#, "../".repeat(depth)), 1)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_file_is_embedded_with_its_version() {
        let listed: Vec<&str> =
            VERSIONS.lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name).collect();
        assert_eq!(names().collect::<Vec<_>>(), listed, "dist/versions.txt and CONTENTS");
        for name in names() {
            let file = file(name).expect(name);
            assert_eq!((file.version.len(), &file.gzip[..2]), (12, &[0x1f, 0x8b][..]), "{name}");
            assert_ne!(file.media_type, "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn page_asks_for_files_by_their_versions_and_runs_no_script_of_its_own() {
        for name in ["app.js", "app.css", "vendor.js", "icon.svg"] {
            let reference = format!("./{name}?v={}", file(name).expect(name).version);
            assert!(PAGE.contains(&reference), "{reference}");
        }
        assert!(!PAGE.contains("<style") && !PAGE.contains(" style=") && !PAGE.contains("http"), "{PAGE}");
        assert_eq!(PAGE.matches("<script").count(), PAGE.matches("></script>").count(), "{PAGE}");
    }

    #[test]
    fn page_names_the_root_of_the_panel_relative_to_itself() {
        assert!(page("/dashboard/").contains(r#"<meta name="panel-root" content="../">"#));
        assert!(page("/board/of/mine/").contains(r#"<meta name="panel-root" content="../../../">"#));
    }
}
