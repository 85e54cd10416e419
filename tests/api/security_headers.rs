//! The headers with which responses tell browsers what they may do.

use reqwest::Method;
use sarban::store::Db;
use serde_json::json;

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::database::on_both_engines;

on_both_engines!(
    every_response_forbids_sniffing_frames_and_referrers,
    built_in_pages_may_run_no_script_and_load_nothing_from_elsewhere,
    pages_of_the_operator_have_the_policy_of_the_setting,
);

const LINK: &str = "/sub/ann/0123456789abcdef0123456789abcdef";

async fn start(db: Db, settings: &[(&str, &str)]) -> TestPanel {
    let panel = TestPanel::start_with(db, settings).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "key": &LINK[9..]});
    panel.post("root", "/api/users", ann).await.ok();
    panel
}

async fn fetch(panel: &TestPanel, path: &str) -> Answer {
    send(panel.request(Method::GET, path).header("accept", "text/html")).await
}

/// The directives of a policy by name.
fn policy<'a>(answer: &'a Answer, directive: &str) -> Option<&'a str> {
    let policy = answer.header("content-security-policy").expect("a policy");
    policy.split("; ").find_map(|rule| rule.strip_prefix(directive)?.strip_prefix(' '))
}

async fn every_response_forbids_sniffing_frames_and_referrers(db: Db) {
    let panel = start(db, &[("DOCS", "true")]).await;
    let mut answers = Vec::new();
    for path in ["/", "/dashboard/", "/docs", "/redoc", "/docs/swagger-ui.css", "/openapi.json", LINK, "/health/live"] {
        answers.push((path, fetch(&panel, path).await));
    }
    let links = format!("{LINK}/links");
    for (path, status) in
        [("/nope", 404), ("/api/admins", 401), (LINK.trim_end_matches('f'), 404), ("/api/users/", 307)]
    {
        let answer = fetch(&panel, path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        answers.push((path, answer));
    }
    answers.push((&links, fetch(&panel, &links).await));
    answers.push(("422", panel.get("root", "/api/users?page=0").await));
    let preflight = panel.request(Method::OPTIONS, "/api/users").header("origin", "https://a.example");
    answers.push(("preflight", send(preflight.header("access-control-request-method", "GET")).await));
    for (path, answer) in answers {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(policy(&answer, "frame-ancestors"), Some("'none'"), "{path}");
    }
}

async fn built_in_pages_may_run_no_script_and_load_nothing_from_elsewhere(db: Db) {
    let panel = start(db, &[("DOCS", "true")]).await;
    for path in ["/", LINK] {
        let page = fetch(&panel, path).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert_eq!((policy(&page, "default-src"), policy(&page, "script-src")), (Some("'none'"), None), "{path}");
    }
    for path in ["/dashboard/", "/docs", "/redoc"] {
        let page = fetch(&panel, path).await;
        assert_eq!((policy(&page, "default-src"), policy(&page, "script-src")), (Some("'self'"), None), "{path}");
        let html = page.ok();
        assert!(!html.as_str().expect("a page").contains("<script>"), "{path}: scripts in the page would not run");
    }
}

async fn pages_of_the_operator_have_the_policy_of_the_setting(db: Db) {
    let folder = tempfile::tempdir().expect("a folder");
    for page in ["home", "subscription"] {
        std::fs::create_dir(folder.path().join(page)).expect("a folder");
        std::fs::write(folder.path().join(page).join("index.html"), "own").expect("a template");
    }
    let templates = ("CUSTOM_TEMPLATES_DIRECTORY", folder.path().to_str().expect("a path"));
    let usual = start(db.clone(), &[templates]).await;
    let framed = "frame-ancestors https://web.telegram.org";
    let framed_too = TestPanel::beside(&usual, &[templates, ("TEMPLATES_CONTENT_SECURITY_POLICY", framed)]).await;
    for path in ["/", LINK] {
        let page = fetch(&usual, path).await;
        let policy = page.header("content-security-policy");
        assert_eq!(policy, Some("frame-ancestors 'none'; object-src 'none'; base-uri 'self'"), "{path}");
        assert_eq!(
            (page.header("x-frame-options"), page.header("referrer-policy")),
            (Some("DENY"), Some("no-referrer"))
        );
        let page = fetch(&framed_too, path).await;
        assert_eq!(page.header("content-security-policy"), Some(framed), "{path}");
        assert_eq!((page.header("x-frame-options"), page.header("x-content-type-options")), (None, Some("nosniff")));
        assert_eq!(page.ok(), "own", "{path}");
    }
    let dashboard = fetch(&framed_too, "/dashboard/").await;
    assert_eq!(policy(&dashboard, "default-src"), Some("'self'"), "no template of the operator");
}
