//! The first sudo admin: made with a code that is good once, for an hour, and on one host only.

use poem::http::StatusCode;
use reqwest::Method;
use sarban::actions::setup;
use sarban::domain::change::Changed;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::database::{execute, number, on_both_engines, texts};

on_both_engines! {
    code_makes_the_first_admin_once,
    several_codes_make_one_admin,
    code_that_is_wrong_or_old_makes_nobody,
}

async fn without_admins(db: &Db) -> TestPanel {
    let panel = TestPanel::start(db.clone()).await;
    execute(db, "DELETE FROM admins").await;
    panel
}

async fn use_code(panel: &TestPanel, code: &str, name: &str) -> Answer {
    let body = json!({"code": code, "username": name, "password": "a password"});
    send(panel.request(Method::POST, "/api/setup").header("x-request-id", name).json(&body)).await
}

async fn code_makes_the_first_admin_once(db: Db) {
    let panel = without_admins(&db).await;
    let code = setup::new_code(&panel.panel).await.expect("a database").expect("there is no admin");
    let before = panel.panel.changes.counts(&[Changed::Admins]).local;
    let made = use_code(&panel, &code, "owner").await.ok();
    assert_eq!(made["is_sudo"], json!(true));
    assert_eq!(panel.panel.changes.counts(&[Changed::Admins]).local, before + 1);
    let token = made["access_token"].as_str().expect("a token");
    let me = send(panel.request(Method::GET, "/api/admins/current").bearer_auth(token)).await.ok();
    assert_eq!((&me["username"], &me["is_sudo"]), (&json!("owner"), &json!(true)));
    let entered = texts(&db, "SELECT request_id FROM audit_entry WHERE action = 'admin.create'").await;
    assert_eq!(entered, ["owner"]);
    use_code(&panel, &code, "second").await.refused(403);
    assert_eq!(setup::new_code(&panel.panel).await.expect("a database"), None, "there is an admin");
}

async fn several_codes_make_one_admin(db: Db) {
    let here = without_admins(&db).await;
    let there = TestPanel::beside(&here, &[]).await;
    let mut codes = Vec::new();
    for panel in [&here, &there, &here, &there] {
        codes.push(setup::new_code(&panel.panel).await.expect("a database").expect("there is no admin"));
    }
    let attempts = codes.iter().enumerate().map(|(index, code)| {
        let panel = if index % 2 == 0 { &here } else { &there };
        async move { use_code(panel, code, &format!("owner{index}")).await.status }
    });
    let mut answers: Vec<StatusCode> = futures_util::future::join_all(attempts).await;
    answers.sort();
    let refused = StatusCode::FORBIDDEN;
    assert_eq!(answers, [StatusCode::OK, refused, refused, refused]);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admins").await, 1);
}

async fn code_that_is_wrong_or_old_makes_nobody(db: Db) {
    let panel = without_admins(&db).await;
    let code = setup::new_code(&panel.panel).await.expect("a database").expect("there is no admin");
    for wrong in ["", "0123456789abcdef0123456789abcdef", &format!("{code} ")] {
        use_code(&panel, wrong, "owner").await.refused(403);
    }
    let body = json!({"code": code, "username": "", "password": ""});
    send(panel.request(Method::POST, "/api/setup").json(&body)).await.wrong_fields(&["password", "username"]);
    send(panel.request(Method::POST, "/api/setup").json(&Value::Null)).await.wrong_fields(&["body"]);
    execute(&db, "UPDATE setup_code SET expires_at = 1795466185000000 WHERE code <> ''").await;
    use_code(&panel, &code, "owner").await.refused(403);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admins").await, 0);
}
