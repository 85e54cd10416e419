//! Bearer tokens and sign-in.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use sarban::store::Db;
use serde_json::json;

use crate::api::panel::{Answer, SECRET, TestPanel, forge, send};
use crate::support::database::on_both_engines;

on_both_engines!(
    sign_in_returns_a_token_valid_for_a_day,
    sign_in_with_wrong_credentials_or_fields_is_refused,
    wrong_passwords_are_limited_by_name_and_by_address,
    forged_or_malformed_token_is_refused,
    rights_are_read_from_the_database_and_not_from_the_token,
    new_password_revokes_older_tokens,
    token_of_a_new_password_is_valid_in_the_same_second,
    token_of_a_deleted_admin_is_refused_for_a_new_one_of_the_same_name,
    token_with_a_critical_extension_or_a_nul_is_refused,
);

async fn login(panel: &TestPanel, form: &[(&str, &str)]) -> Answer {
    send(panel.request(Method::POST, "/api/admins/token").form(form)).await
}

async fn current(panel: &TestPanel, token: &str) -> Answer {
    send(panel.request(Method::GET, "/api/admins/current").bearer_auth(token)).await
}

async fn sign_in_returns_a_token_valid_for_a_day(db: Db) {
    let panel = TestPanel::start(db).await;
    let answer =
        login(&panel, &[("username", "root"), ("password", "rootpass"), ("grant_type", "password")]).await.ok();
    assert_eq!((&answer["is_sudo"], &answer["token_type"]), (&json!(true), &json!("bearer")));
    let token = answer["access_token"].as_str().expect("a token");
    assert_eq!(current(&panel, token).await.ok()["username"], "root");

    panel.panel.clock.advance(1440 * 60 * 1_000_000 - 1);
    current(&panel, token).await.ok();
    panel.panel.clock.advance(1);
    current(&panel, token).await.refused(401);
}

async fn sign_in_with_wrong_credentials_or_fields_is_refused(db: Db) {
    let panel = TestPanel::start_with(db, &[("LOGIN_ATTEMPTS_PER_MINUTE", "0")]).await;
    for (name, password) in [("root", "nope"), ("root", ""), ("ROOT", "rootpass"), ("nobody", "rootpass")] {
        let answer = login(&panel, &[("username", name), ("password", password)]).await;
        answer.refused(401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    login(&panel, &[("username", "root")]).await.wrong_fields(&["password"]);
    login(&panel, &[("username", "root"), ("password", "a\0b")]).await.wrong_fields(&["password"]);
    login(&panel, &[("username", "root"), ("password", "rootpass"), ("grant_type", "")])
        .await
        .wrong_fields(&["grant_type"]);
    let body = json!({"username": "root", "password": "rootpass"});
    let answer = send(panel.request(Method::POST, "/api/admins/token").json(&body)).await;
    answer.wrong_fields(&["password", "username"]);
}

async fn wrong_passwords_are_limited_by_name_and_by_address(db: Db) {
    let panel = TestPanel::start_with(db, &[("LOGIN_ATTEMPTS_PER_MINUTE", "2")]).await;
    panel.insert_admin("alice", false).await;
    let wrong = [("username", "root"), ("password", "nope")];
    let right = [("username", "root"), ("password", "rootpass")];
    login(&panel, &wrong).await.refused(401);
    login(&panel, &right).await.ok();
    login(&panel, &wrong).await.refused(401);
    let answer = login(&panel, &right).await;
    answer.refused(429);
    assert_eq!(answer.header("retry-after"), Some("61"));
    // The tests are local clients: only names are limited, unless a proxy header has an address.
    login(&panel, &[("username", "alice"), ("password", "alicepass")]).await.ok();
    let behind_proxy = |name: &'static str, password: &'static str| {
        let request = panel.request(Method::POST, "/api/admins/token").header("x-forwarded-for", "9.9.9.9");
        send(request.form(&[("username", name), ("password", password)]))
    };
    behind_proxy("ghost", "x").await.refused(401);
    behind_proxy("ghosts", "x").await.refused(401);
    behind_proxy("alice", "alicepass").await.refused(429);
    panel.panel.clock.advance(60_000_001);
    login(&panel, &right).await.ok();
}

async fn forged_or_malformed_token_is_refused(db: Db) {
    let panel = TestPanel::start(db).await;
    let now = panel.panel.clock.now().seconds();
    let claims = json!({"sub": "root", "access": "sudo", "iat": now, "exp": now + 10});
    current(&panel, &forge(&claims, SECRET, Algorithm::HS256)).await.ok();
    current(&panel, &forge(&claims, SECRET, Algorithm::HS512)).await.refused(401);
    current(&panel, &forge(&claims, &"x".repeat(64), Algorithm::HS256)).await.refused(401);
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290IiwiYWNjZXNzIjoic3VkbyJ9.";
    for token in [none, "abc.def.ghi", "x", ""] {
        current(&panel, token).await.refused(401);
    }
    let ghost = json!({"sub": "ghost", "access": "sudo"});
    current(&panel, &forge(&ghost, SECRET, Algorithm::HS256)).await.refused(401);
    let basic = panel.request(Method::GET, "/api/admins/current").basic_auth("root", Some("rootpass"));
    send(basic).await.refused(401);
    let lower = panel.request(Method::GET, "/api/admins/current");
    let lower = lower.header("authorization", format!("bearer {}", forge(&claims, SECRET, Algorithm::HS256)));
    send(lower).await.ok();
}

async fn token_with_a_critical_extension_or_a_nul_is_refused(db: Db) {
    let panel = TestPanel::start(db).await;
    let now = panel.panel.clock.now().seconds();
    let claims = |name: &str| json!({"sub": name, "access": "sudo", "iat": now, "exp": now + 10});
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    current(&panel, &jsonwebtoken::encode(&header, &claims("root"), &key).expect("a token")).await.refused(401);
    current(&panel, &forge(&claims("ro\0ot"), SECRET, Algorithm::HS256)).await.refused(401);
    current(&panel, &forge(&claims("root"), SECRET, Algorithm::HS256)).await.ok();
}

async fn rights_are_read_from_the_database_and_not_from_the_token(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.get("alice", "/api/admins/current").await.ok();
    panel.get("alice", "/api/admins").await.refused(403);
    panel.put("root", "/api/admins/alice", json!({"is_sudo": true, "enabled": false})).await.ok();
    panel.get("alice", "/api/admins").await.ok();
    panel.insert_admin("erin", false).await;
    panel.put("root", "/api/admins/erin", json!({"enabled": false})).await.ok();
    login(&panel, &[("username", "erin"), ("password", "erinpass")]).await.ok();
    panel.get("erin", "/api/admins/current").await.refused(401);
}

async fn new_password_revokes_older_tokens(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("bob", false).await;
    let old = panel.token_of("bob");
    panel.panel.clock.advance(1_000_000);
    panel.put("root", "/api/admins/bob", json!({"password": "bobpass2"})).await.ok();
    current(&panel, &old).await.refused(401);
    login(&panel, &[("username", "bob"), ("password", "bobpass")]).await.refused(401);
    let answer = login(&panel, &[("username", "bob"), ("password", "bobpass2")]).await.ok();
    current(&panel, answer["access_token"].as_str().expect("a token")).await.ok();
}

/// Signs in, and returns the token.
async fn token(panel: &TestPanel, name: &str, password: &str) -> String {
    let answer = login(panel, &[("username", name), ("password", password)]).await.ok();
    answer["access_token"].as_str().expect("a token").to_owned()
}

async fn token_of_a_new_password_is_valid_in_the_same_second(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("bob", false).await;
    // Within one second: a token, two changes of the password, and a token after each of them.
    panel.panel.clock.advance(400_000);
    let mut old = token(&panel, "bob", "bobpass").await;
    for password in ["bobpass2", "bobpass3"] {
        panel.put("root", "/api/admins/bob", json!({"password": password})).await.ok();
        current(&panel, &old).await.refused(401);
        old = token(&panel, "bob", password).await;
        current(&panel, &old).await.ok();
    }
    panel.panel.clock.advance(60_000_000);
    current(&panel, &old).await.ok();
}

async fn token_of_a_deleted_admin_is_refused_for_a_new_one_of_the_same_name(db: Db) {
    let panel = TestPanel::start(db).await;
    let new = json!({"username": "bob", "password": "bobpass", "is_sudo": false});
    panel.post("root", "/api/admins", new.clone()).await.ok();
    let (ours, imported) = (token(&panel, "bob", "bobpass").await, panel.token_of("bob"));
    for token in [&ours, &imported] {
        current(&panel, token).await.ok();
    }
    panel.delete("root", "/api/admins/bob").await.ok();
    panel.post("root", "/api/admins", new.clone()).await.ok();
    current(&panel, &ours).await.refused(401);
    current(&panel, &token(&panel, "bob", "bobpass").await).await.ok();
    // A token without an account has whole seconds only.
    panel.panel.clock.advance(1_000_000);
    panel.delete("root", "/api/admins/bob").await.ok();
    panel.post("root", "/api/admins", new).await.ok();
    current(&panel, &imported).await.refused(401);
}
