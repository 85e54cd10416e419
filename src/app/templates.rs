//! Reads the operator's templates once at start, so that no request opens a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::config::subscription::SubscriptionSettings;
use crate::subscription::pages::{PageNames, Pages};
use crate::subscription::templates::{ClashTemplate, SingBoxTemplates, Templates, XrayTemplate};

/// Larger files are skipped.
const MAX_BYTES: u64 = 1 << 20;
const MAX_FILES: usize = 1_000;
const MAX_DEPTH: usize = 8;

/// Reads the templates. A missing template is replaced by the built-in one; an invalid one is an error.
pub(super) fn read(settings: &SubscriptionSettings) -> Result<Templates> {
    let Some(folder) = &settings.templates else { return Ok(Templates::default()) };
    let Ok(root) = folder.canonicalize() else {
        tracing::warn!(folder = %folder.display(), "CUSTOM_TEMPLATES_DIRECTORY does not exist: using the built-in templates");
        return Ok(Templates::default());
    };
    let mut texts = BTreeMap::new();
    collect(&root, &root, 0, &mut texts).with_context(|| format!("reading {}", folder.display()))?;
    let mut templates = Templates::default();
    let wrong = |name: &str| format!("invalid template {name} in {}", folder.display());
    let text = |name: &str| -> Result<Option<&str>> {
        let text = texts.get(name.trim_start_matches("./"));
        if text.is_none() && root.join(name).is_file() {
            bail!("{}: it must be UTF-8, at most 1 MiB and inside that folder", wrong(name));
        }
        Ok(text.map(String::as_str))
    };
    if let Some(text) = text(&settings.xray)? {
        templates.xray = XrayTemplate::parse(text).with_context(|| wrong(&settings.xray))?;
    }
    if let Some(text) = text(&settings.singbox)? {
        templates.sing_box = SingBoxTemplates::parse(text).with_context(|| wrong(&settings.singbox))?;
    }
    let named =
        |name: &str| -> Result<Option<String>> { Ok(text(name)?.map(|_| name.trim_start_matches("./").to_owned())) };
    let mut names = PageNames { user: named(&settings.page)?, home: named(&settings.home_page)?, clash: None };
    match text(&settings.clash)? {
        // With Jinja tags the template is rendered for each user, without them it is parsed once.
        Some(text) if text.contains("{{") || text.contains("{%") => names.clash = named(&settings.clash)?,
        Some(text) => templates.clash = ClashTemplate::parse(text).with_context(|| wrong(&settings.clash))?,
        None => {}
    }
    templates.pages = Pages::new(texts, names);
    templates.pages.check().with_context(|| format!("invalid template in {}", folder.display()))?;
    Ok(templates)
}

/// Collects all texts below a folder by their path relative to the root. Symbolic links out of the root are skipped.
fn collect(root: &Path, folder: &Path, depth: usize, texts: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let Ok(path) = entry?.path().canonicalize() else { continue };
        let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) else { continue };
        let about = fs::metadata(&path)?;
        if about.is_dir() && depth < MAX_DEPTH {
            collect(root, &path, depth + 1, texts)?;
        } else if about.is_file() && about.len() <= MAX_BYTES {
            if texts.len() == MAX_FILES {
                bail!("more than {MAX_FILES} files: the folder is for templates only");
            }
            if let Ok(text) = String::from_utf8(fs::read(&path)?) {
                texts.insert(name.to_owned(), text);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::domain::moment::Moment;
    use crate::subscription::pages::{Support, nobody};

    fn settings(folder: &Path) -> SubscriptionSettings {
        SubscriptionSettings {
            url_prefix: String::new(),
            templates: Some(folder.to_owned()),
            home_page: "home/index.html".to_owned(),
            own_page_policy: String::new(),
            page: "subscription/index.html".to_owned(),
            clash: "clash/default.yml".to_owned(),
            singbox: "singbox/default.json".to_owned(),
            xray: "xray/default.json".to_owned(),
        }
    }

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn templates_in_the_folder_replace_built_in_ones() {
        let files: [(&str, &[u8]); 6] = [
            ("home/index.html", b"{% include 'part.html' %}"),
            ("part.html", b"own home"),
            ("subscription/logo.png", b"\xff\xfe{{"),
            ("clash/default.yml", b"a: 1\nproxy-groups: []\n"),
            ("singbox/default.json", b"{\"log\": {}}"),
            ("notes.txt", b"{{ not used, not read as a template"),
        ];
        let folder = folder(&files);
        let templates = read(&settings(folder.path())).unwrap();
        assert_eq!(templates.pages.home().0, "own home");
        assert!(read(&settings(&folder.path().join("nothing"))).is_ok());
    }

    #[test]
    fn invalid_template_is_an_error_that_names_it() {
        for (name, text) in [
            ("xray/default.json", &b"{"[..]),
            ("singbox/default.json", b"[]"),
            ("clash/default.yml", b"a: ["),
            ("clash/default.yml", b"{{ conf"),
            ("clash/default.yml", b"{{ conf | yam }}"),
            ("home/index.html", b"{% include 'missing.html' %}"),
            ("home/index.html", b"{% include '../../../../../../etc/hostname' %}"),
            ("subscription/index.html", b"{{ user.username"),
            ("subscription/index.html", b"\xff"),
            ("subscription/index.html", &[b' '; 2 << 20]),
        ] {
            let folder = folder(&[(name, text)]);
            let error = format!("{:#}", read(&settings(folder.path())).unwrap_err());
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn files_outside_the_folder_are_not_read() {
        let outside = folder(&[("secret.html", b"secret")]);
        let inside = folder(&[("subscription/index.html", b"{% include 'link.html' ignore missing %}")]);
        std::os::unix::fs::symlink(outside.path().join("secret.html"), inside.path().join("link.html")).unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("away")).unwrap();
        let templates = read(&settings(inside.path())).unwrap();
        let support = Support { profile_title: "", support_link: "", link: "", now: Moment::from_micros(0) };
        assert_eq!(templates.pages.user(&nobody(), &[], support).0, "");
        let escaping = SubscriptionSettings { page: "away/secret.html".to_owned(), ..settings(inside.path()) };
        assert!(read(&escaping).is_err());
        let absolute = outside.path().join("secret.html").to_str().unwrap().to_owned();
        assert!(read(&SubscriptionSettings { page: absolute, ..settings(inside.path()) }).is_err());
    }
}
