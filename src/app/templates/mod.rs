//! Reads the operator's templates once at start, so that no request opens a file. A template that can't be used is named,
//! and the built-in one serves in its place: no template keeps a panel from starting.

mod files;

use anyhow::{Context as _, Error, Result};

use self::files::Files;
use crate::config::names::SETTINGS;
use crate::config::subscription::SubscriptionSettings;
use crate::subscription::pages::{PageNames, Pages};
use crate::subscription::templates::{ClashTemplate, SingBoxTemplates, TemplateProblem, Templates, XrayTemplates};

const HOME: &str = "HOME_PAGE_TEMPLATE";
const USER: &str = "SUBSCRIPTION_PAGE_TEMPLATE";
const CLASH: &str = "CLASH_SUBSCRIPTION_TEMPLATE";
const SING_BOX: &str = "SINGBOX_SUBSCRIPTION_TEMPLATE";
const XRAY: &str = "XRAY_SUBSCRIPTION_TEMPLATE";

/// Reads the templates, and returns their problems.
pub(super) fn read(settings: &SubscriptionSettings) -> (Templates, Vec<TemplateProblem>) {
    let mut problems = Problems::default();
    let mut files = problems.folder(settings);
    let mut name = |setting, value| problems.name(setting, value, &mut files);
    let names = PageNames {
        user: name(USER, &settings.page),
        home: name(HOME, &settings.home_page),
        clash: name(CLASH, &settings.clash),
    };
    let (sing_box, xray) = (name(SING_BOX, &settings.singbox), name(XRAY, &settings.xray));
    let pages = Pages::new(files.texts.clone(), names);
    let mut templates = Templates::default();

    if let Some(name) = &sing_box {
        let parsed = of_text(&files.texts[name], name, &pages, |text| Ok(SingBoxTemplates::parse(text)?));
        if let Some(parsed) = problems.unless_unused(SING_BOX, &settings.singbox, parsed) {
            let warning = parsed.warning().map_or(Ok(()), |warning| Err(Error::msg(warning)));
            problems.unless_unused_by_some(SING_BOX, &settings.singbox, warning);
            templates.sing_box = parsed;
        }
    }
    if let Some(name) = &xray {
        let parsed = of_text(&files.texts[name], name, &pages, |text| Ok(XrayTemplates::parse(text)?));
        if let Some(parsed) = problems.unless_unused(XRAY, &settings.xray, parsed) {
            let warning = parsed.warning().map_or(Ok(()), |warning| Err(Error::msg(warning)));
            problems.unless_unused_by_some(XRAY, &settings.xray, warning);
            templates.xray = parsed;
        }
    }
    let mut used = pages.names().clone();
    let (for_all, for_some) = pages.check_user();
    if problems.unless_unused(USER, &settings.page, for_all.map_err(Error::new)).is_none() {
        used.user = None;
    }
    problems.unless_unused_by_some(USER, &settings.page, for_some.context("for some users"));
    if problems.unless_unused(HOME, &settings.home_page, pages.check_home().map_err(Error::new)).is_none() {
        used.home = None;
    }
    if let Some(name) = used.clash.take() {
        let text = &files.texts[&name];
        // With Jinja tags the template is rendered for each user, without them it is parsed once.
        if has_tags(text) {
            let checked = pages.check_clash().map_err(Error::new).and_then(|document| {
                ClashTemplate::parse(&document.unwrap_or_default()).context("what it renders can't be used")
            });
            used.clash = problems.unless_unused(CLASH, &settings.clash, checked).map(|_| name);
        } else {
            let parsed = ClashTemplate::parse(text).map_err(Error::new);
            if let Some(parsed) = problems.unless_unused(CLASH, &settings.clash, parsed) {
                templates.clash = parsed;
            }
        }
    }
    templates.pages = pages.with_names(used);
    (templates, problems.0)
}

/// Parses a text, or what is rendered from it if it is no document as it is.
fn of_text<T>(text: &str, name: &str, pages: &Pages, parse: impl Fn(&str) -> Result<T>) -> Result<T> {
    match parse(text) {
        Err(_) if has_tags(text) => parse(&pages.plain(name)?),
        parsed => parsed,
    }
}

fn has_tags(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|tag| text.contains(tag))
}

/// Problems of the templates.
#[derive(Default)]
struct Problems(Vec<TemplateProblem>);

impl Problems {
    /// Reads the folder of the templates.
    fn folder(&mut self, settings: &SubscriptionSettings) -> Files {
        let Some(folder) = &settings.templates else { return Files::default() };
        let read = Files::read(folder);
        self.unless_unused("CUSTOM_TEMPLATES_DIRECTORY", &folder.display().to_string(), read).unwrap_or_default()
    }

    /// The name of the text that a setting leads to. A default that leads to no file means the built-in template.
    fn name(&mut self, setting: &str, value: &str, files: &mut Files) -> Option<String> {
        let is_default = SETTINGS.iter().any(|known| known.name == setting && known.default == value);
        let found = if is_default { Ok(files.find_within(value)?) } else { files.find(value).context("no such file") };
        self.unless_unused(setting, value, found.and_then(|path| files.name(&path)))
    }

    /// The value, unless the template can't be used.
    fn unless_unused<T>(&mut self, setting: &str, value: &str, result: Result<T>) -> Option<T> {
        let add = |error: Error| {
            let sentence = format!("{setting}: could not use {value}, so the built-in template serves: {error:#}");
            self.0.push(TemplateProblem { sentence, is_unused: true });
        };
        result.map_err(add).ok()
    }

    /// Adds a problem of a template that is used nevertheless.
    fn unless_unused_by_some(&mut self, setting: &str, value: &str, result: Result<()>) {
        if let Err(error) = result {
            let sentence = format!("{setting}: {value} does not serve everybody: {error:#}");
            self.0.push(TemplateProblem { sentence, is_unused: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::domain::moment::Moment;
    use crate::subscription::pages::{Support, nobody};

    const NOW: Moment = Moment::from_micros(0);

    fn settings(folder: &Path) -> SubscriptionSettings {
        SubscriptionSettings {
            url_prefix: String::new(),
            server_ip: None,
            server_ipv6: None,
            copy_max_age: std::time::Duration::ZERO,
            copy_dir: None,
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
        let (templates, problems) = read(&settings(folder.path()));
        assert_eq!(problems, []);
        assert_eq!(templates.pages.home(NOW).0, "own home");
        let (_, problems) = read(&settings(&folder.path().join("nothing")));
        assert!(problems.len() == 1 && problems[0].sentence.starts_with("CUSTOM_TEMPLATES_DIRECTORY"), "{problems:?}");
    }

    #[test]
    fn each_setting_leads_within_the_folder_anywhere_else_or_is_named() {
        let files: [(&str, &[u8]); 3] =
            [("a.html", b"{{ 'own' }}"), ("a.yml", b"\xef\xbb\xbfown: 1\n"), ("a.json", b"{\"own\": 1}")];
        let folder = folder(&files);
        let of = |templates: Option<&Path>, file: &dyn Fn(&str) -> String| {
            let own = SubscriptionSettings {
                templates: templates.map(Path::to_owned),
                home_page: file("a.html"),
                page: file("a.html"),
                clash: file("a.yml"),
                singbox: file("a.json"),
                xray: file("a.json"),
                ..settings(folder.path())
            };
            read(&own)
        };
        let absolute = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let elsewhere = TempDir::new().unwrap();
        for (templates, file) in [
            (Some(folder.path()), &str::to_owned as &dyn Fn(&str) -> String),
            (Some(folder.path()), &|name| format!("./{name}")),
            (Some(folder.path()), &absolute),
            (Some(elsewhere.path()), &absolute),
            (None, &absolute),
        ] {
            let (templates, problems) = of(templates, file);
            assert_eq!(problems, []);
            assert_eq!(templates.pages.home(NOW).0, "own");
            let support = Support { profile_title: "", support_link: "", link: "", now: NOW };
            assert_eq!(templates.pages.user(&nobody(), &[], support).0, "own");
            let others = format!("{:?}{:?}{:?}", templates.clash, templates.sing_box, templates.xray);
            // A member of the built-in template for Xray has the word in its name.
            let others = others.replace("Downlink", "");
            assert_eq!(others.matches("own").count() - others.matches("own:").count(), 3, "{others}");
        }
        for missing in [absolute("missing"), "missing".to_owned()] {
            for templates in [Some(folder.path()), None] {
                let (_, problems) = of(templates, &|_| missing.clone());
                let named: Vec<&str> = problems.iter().filter_map(|one| one.sentence.split(':').next()).collect();
                assert_eq!(named, [USER, HOME, CLASH, SING_BOX, XRAY]);
                assert!(problems.iter().all(|one| one.is_unused && one.sentence.contains(&missing)), "{problems:?}");
            }
        }
    }

    #[test]
    fn template_that_can_not_be_used_is_named_and_the_built_in_one_serves() {
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
            let (templates, problems) = read(&settings(folder.path()));
            assert_eq!(problems.len(), 1, "{name}: {problems:?}");
            assert!(problems[0].is_unused && problems[0].sentence.contains(name), "{problems:?}");
            assert!(!templates.pages.has_own_user_page() && !templates.pages.has_own_home_page(), "{name}");
            assert_eq!(templates.pages.names().clash, None);
        }
    }

    #[test]
    fn template_that_does_not_serve_everybody_is_named_and_used() {
        let files: [(&str, &[u8]); 3] = [
            ("xray/default.json", b"{\"reverse\": {}}"),
            ("subscription/index.html", b"{{ user.expire_date.strftime('%Y') }}"),
            ("singbox/default.json", b"{\"outbounds\": [{\"type\": \"dns\", \"tag\": \"d\"}]}"),
        ];
        let folder = folder(&files);
        let (templates, problems) = read(&settings(folder.path()));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems.iter().all(|problem| !problem.is_unused), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.sentence.contains("sing-box 1.12")), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.sentence.contains("Xray 26.7")), "{problems:?}");
        assert!(templates.pages.has_own_user_page());
    }

    #[test]
    fn json_template_may_have_jinja_tags() {
        let text = b"{# mine #}{\"log\": {\"level\": \"{{ 'warn' }}\"}}";
        let folder = folder(&[("xray/default.json", text), ("singbox/default.json", text)]);
        let (templates, problems) = read(&settings(folder.path()));
        assert_eq!(problems, []);
        assert!(format!("{:?}", templates.xray).contains("warn"));
    }

    #[test]
    fn templates_include_no_file_outside_the_folder() {
        let outside = folder(&[("secret.html", b"secret")]);
        let inside = folder(&[("subscription/index.html", b"{% include 'link.html' ignore missing %}")]);
        std::os::unix::fs::symlink(outside.path().join("secret.html"), inside.path().join("link.html")).unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("away")).unwrap();
        let (templates, problems) = read(&settings(inside.path()));
        assert_eq!(problems, []);
        let support = Support { profile_title: "", support_link: "", link: "", now: NOW };
        assert_eq!(templates.pages.user(&nobody(), &[], support).0, "");
    }
}
