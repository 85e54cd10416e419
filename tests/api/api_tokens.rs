//! API tokens: made, used, given new secrets, revoked; and what refuses them.

use reqwest::Method;
use sarban::domain::moment::SECOND;
use sarban::store::Db;
use serde_json::{Value, json};

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::database::{execute, number, on_both_engines, texts};

on_both_engines! {
    token_is_shown_once_and_used_like_one_of_a_sign_in,
    revoked_token_is_refused_on_another_host_within_a_second,
    files_of_the_dashboard_are_for_everybody,
    token_has_no_more_rights_than_its_admin_has_now,
    token_ends_with_its_time_and_is_for_its_addresses,
    replaced_secret_is_good_for_the_overlap,
    token_makes_none_that_may_do_more,
    token_that_ends_sessions_gets_none,
    token_changes_no_password_and_no_second_factor,
    tokens_of_others_are_for_sudo_admins,
    wrong_tokens_are_named_by_field_and_bounded,
    guesses_are_limited_and_good_tokens_are_not,
    last_use_of_a_token_is_written_in_the_background,
}

async fn by(panel: &TestPanel, token: &str, method: Method, path: &str) -> Answer {
    send(panel.request(method, path).bearer_auth(token)).await
}

async fn status(panel: &TestPanel, token: &str) -> u16 {
    by(panel, token, Method::GET, "/api/users").await.status.as_u16()
}

/// Makes a token as an admin; its id and its text.
async fn make(panel: &TestPanel, admin: &str, body: Value) -> (String, String) {
    read(&panel.post(admin, "/api/tokens", body).await.ok())
}

#[track_caller]
fn read(made: &Value) -> (String, String) {
    let text = |field: &str| made[field].as_str().expect("a text").to_owned();
    (text("id"), text("secret"))
}

fn users() -> Value {
    json!({"name": "bot", "scopes": ["users:read"]})
}

async fn token_is_shown_once_and_used_like_one_of_a_sign_in(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let made = panel.post("root", "/api/tokens", users()).await.ok();
    let (id, secret) = read(&made);
    assert!(secret.starts_with(&format!("sarban_{}_", id.replace('-', ""))), "{secret}");
    assert_eq!((&made["admin"], &made["scopes"]), (&json!("root"), &json!(["users:read"])));
    assert_eq!(status(&panel, &secret).await, 200);
    assert_eq!(by(&panel, &secret, Method::GET, "/api/admins/current").await.ok()["username"], "root");
    let listed = panel.get("root", "/api/tokens").await.ok();
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &json!(id)));
    let part = &secret[secret.len() - 64..];
    assert!(!listed.to_string().contains(part), "only once");
    assert!(!texts(&db, "SELECT secret_hash FROM api_token").await.concat().contains(part), "not stored");
    panel.delete("root", &format!("/api/tokens/{id}")).await.ok();
    assert_eq!(status(&panel, &secret).await, 401, "at once");
    panel.delete("root", &format!("/api/tokens/{id}")).await.refused(404);
    panel.delete("root", "/api/tokens/7").await.refused(404);
}

async fn revoked_token_is_refused_on_another_host_within_a_second(db: Db) {
    let here = TestPanel::start(db).await;
    // Without a wake-up between the two panels.
    let elsewhere = TestPanel::beside(&here, &[]).await;
    here.insert_admin("alice", false).await;
    let (id, one) = make(&here, "root", users()).await;
    let (_, two) = make(&here, "alice", users()).await;
    let (_, three) = make(&here, "alice", users()).await;
    for token in [&one, &two, &three] {
        assert_eq!(status(&elsewhere, token).await, 200);
    }
    here.delete("root", &format!("/api/tokens/{id}")).await.ok();
    here.put("root", "/api/admins/alice", json!({"enabled": false})).await.ok();
    assert_eq!((status(&here, &one).await, status(&here, &two).await), (401, 401));
    elsewhere.panel.clock.advance(SECOND - 1);
    assert_eq!((status(&elsewhere, &one).await, status(&elsewhere, &two).await), (200, 200), "the cache is in use");
    elsewhere.panel.clock.advance(1);
    assert_eq!((status(&elsewhere, &one).await, status(&elsewhere, &two).await), (401, 401));
    here.put("root", "/api/admins/alice", json!({"enabled": true})).await.ok();
    assert_eq!(status(&here, &three).await, 200);
    here.delete("root", "/api/admins/alice").await.ok();
    assert_eq!(status(&here, &three).await, 401);
}

async fn files_of_the_dashboard_are_for_everybody(db: Db) {
    let panel = TestPanel::start(db).await;
    let (id, secret) = make(&panel, "root", users()).await;
    for path in ["/dashboard/", "/dashboard/app.js"] {
        assert_eq!(by(&panel, &secret, Method::GET, path).await.status, 200, "{path}");
    }
    panel.delete("root", &format!("/api/tokens/{id}")).await.ok();
    for path in ["/dashboard/", "/dashboard/app.js"] {
        assert_eq!(by(&panel, &secret, Method::GET, path).await.status, 200, "{path}");
    }
}

async fn token_has_no_more_rights_than_its_admin_has_now(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("alice", false).await;
    let (_, token) = make(&panel, "alice", json!({"name": "all", "scopes": ["*"]})).await;
    by(&panel, &token, Method::GET, "/api/admins").await.refused(403);
    panel.put("root", "/api/admins/alice", json!({"is_sudo": true})).await.ok();
    by(&panel, &token, Method::GET, "/api/admins").await.ok();
    execute(&db, "UPDATE admins SET is_sudo = FALSE WHERE username = 'alice'").await;
    panel.panel.clock.advance(SECOND);
    by(&panel, &token, Method::GET, "/api/admins").await.refused(403);
    // A new password does not end it, and the end of its admin removes it.
    panel.put("root", "/api/admins/alice", json!({"password": "other"})).await.ok();
    assert_eq!(status(&panel, &token).await, 200);
    panel.delete("root", "/api/admins/alice").await.ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM api_token").await, 0);
}

async fn token_ends_with_its_time_and_is_for_its_addresses(db: Db) {
    let panel = TestPanel::start(db).await;
    let body = json!({"name": "bot", "scopes": ["users:read"], "expires_at": "2026-11-23T20:37:25",
                      "addresses": ["192.0.2.0/24", "2001:db8::/32"]});
    let (_, token) = make(&panel, "root", body).await;
    let from = async |address: &str| {
        let request = panel.request(Method::GET, "/api/users").header("x-forwarded-for", address);
        send(request.bearer_auth(&token)).await
    };
    from("192.0.2.7").await.ok();
    from("2001:db8::7").await.ok();
    for other in ["192.0.3.7", "2001:db9::7"] {
        let answer = from(other).await;
        answer.refused(403);
        assert!(answer.body["detail"].as_str().is_some_and(|text| text.contains("address")), "{}", answer.body);
    }
    panel.panel.clock.advance(60 * SECOND);
    let answer = from("192.0.2.7").await;
    answer.refused(401);
    assert_eq!(answer.body["detail"], "The API token has expired");
}

async fn replaced_secret_is_good_for_the_overlap(db: Db) {
    let panel = TestPanel::start(db).await;
    let (id, old) = make(&panel, "root", users()).await;
    let path = format!("/api/tokens/{id}/rotate");
    let (same, new) = read(&panel.post("root", &path, json!({"overlap_seconds": 60})).await.ok());
    assert_eq!(same, id);
    assert_eq!((status(&panel, &old).await, status(&panel, &new).await), (200, 200));
    panel.panel.clock.advance(60 * SECOND);
    assert_eq!((status(&panel, &old).await, status(&panel, &new).await), (401, 200));
    let (_, last) = read(&panel.post("root", &path, json!({})).await.ok());
    assert_eq!((status(&panel, &new).await, status(&panel, &last).await), (401, 200), "at once");
    for wrong in [json!({"overlap_seconds": -1}), json!({"overlap_seconds": 2_592_001})] {
        panel.post("root", &path, wrong).await.wrong_fields(&["overlap_seconds"]);
    }
}

async fn token_makes_none_that_may_do_more(db: Db) {
    let panel = TestPanel::start(db).await;
    let own = json!({"name": "maker", "scopes": ["tokens:*", "users:read"], "expires_at": "2027-01-01T00:00:00",
                     "addresses": ["127.0.0.0/8"]});
    let (_, maker) = make(&panel, "root", own).await;
    let post =
        async |path: &str, body: &Value| send(panel.request(Method::POST, path).bearer_auth(&maker).json(body)).await;
    let good = json!({"name": "bot", "scopes": ["users:read"], "expires_at": "2026-12-01T00:00:00",
                      "addresses": ["127.0.0.1"]});
    post("/api/tokens", &good).await.ok();
    for (field, value) in [
        ("scopes", json!(["users:write"])),
        ("scopes", json!(["*:read"])),
        ("expires_at", json!("2027-01-02T00:00:00")),
        ("expires_at", Value::Null),
        ("addresses", json!([])),
        ("addresses", json!(["127.0.0.0/7"])),
    ] {
        let mut body = good.clone();
        body[field] = value;
        post("/api/tokens", &body).await.refused(403);
    }
    let (id, _) = make(&panel, "root", json!({"name": "all", "scopes": ["*"]})).await;
    post(&format!("/api/tokens/{id}/rotate"), &json!({})).await.refused(403);
}

/// A session may do more than the scopes of the token.
async fn token_that_ends_sessions_gets_none(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let (_, token) = make(&panel, "root", json!({"name": "bot", "scopes": ["sessions:write"]})).await;
    assert_eq!(by(&panel, &token, Method::DELETE, "/api/sessions").await.ok(), json!({"token": null}));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_session").await, 0);
    by(&panel, &token, Method::GET, "/api/users").await.refused(403);
}

async fn token_changes_no_password_and_no_second_factor(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let (_, token) = make(&panel, "root", json!({"name": "bot", "scopes": ["*"]})).await;
    for (method, path) in [
        (Method::PUT, "/api/password"),
        (Method::POST, "/api/second-factor/totp"),
        (Method::PUT, "/api/second-factor/totp"),
        (Method::POST, "/api/second-factor/totp/remove"),
        (Method::POST, "/api/second-factor/recovery-codes"),
        (Method::POST, "/api/second-factor/passkey-options"),
        (Method::POST, "/api/second-factor/passkeys"),
        (Method::PUT, "/api/second-factor/passkeys/0"),
        (Method::POST, "/api/second-factor/passkeys/0/remove"),
    ] {
        let body = json!({"current_password": "rootpass", "new_password": "better", "code": "000000",
            "name": "a", "state": "b", "credential": {}});
        let answer = send(panel.request(method, path).bearer_auth(&token).json(&body)).await;
        answer.refused(403);
        assert_eq!(answer.body["detail"], "An API token can't change a password or a second factor: sign in", "{path}");
    }
    assert_eq!(number(&db, "SELECT COUNT(*) FROM totp").await, 0);
}

async fn tokens_of_others_are_for_sudo_admins(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.insert_admin("other", true).await;
    let (roots, _) = make(&panel, "root", users()).await;
    let (others, _) = make(&panel, "other", users()).await;
    for path in ["/api/tokens?admin=root", "/api/tokens?admin=nobody", "/api/tokens?all=true"] {
        panel.get("alice", path).await.refused(403);
    }
    let for_other = |admin: &str| json!({"name": "bot", "scopes": ["users:read"], "admin": admin});
    panel.post("alice", "/api/tokens", for_other("root")).await.refused(403);
    panel.delete("alice", &format!("/api/tokens/{roots}")).await.refused(404);
    panel.post("alice", &format!("/api/tokens/{roots}/rotate"), json!({})).await.refused(404);
    let (alices, secret) = make(&panel, "root", for_other("alice")).await;
    assert_eq!(by(&panel, &secret, Method::GET, "/api/admins/current").await.ok()["username"], "alice");
    assert_eq!(panel.get("root", "/api/tokens?all=true").await.ok()["total"], 3);
    assert_eq!(panel.get("root", "/api/tokens?admin=alice").await.ok()["total"], 1);
    assert_eq!(panel.get("alice", "/api/tokens").await.ok()["items"][0]["id"], json!(alices));
    panel.get("root", "/api/tokens?admin=nobody").await.refused(404);
    // Another sudo admin's are seen, and not changed.
    assert_eq!(panel.get("root", "/api/tokens?admin=other").await.ok()["total"], 1);
    panel.post("root", "/api/tokens", for_other("other")).await.refused(403);
    panel.delete("root", &format!("/api/tokens/{others}")).await.refused(403);
    panel.post("root", &format!("/api/tokens/{others}/rotate"), json!({})).await.refused(403);
    panel.delete("root", &format!("/api/tokens/{alices}")).await.ok();
    assert_eq!(status(&panel, &secret).await, 401);
}

async fn wrong_tokens_are_named_by_field_and_bounded(db: Db) {
    let panel = TestPanel::start(db).await;
    let post = async |body: Value| panel.post("root", "/api/tokens", body).await;
    let unknown = post(json!({"name": "a", "scopes": ["users:read", "plans:read"]})).await;
    unknown.wrong_fields(&["scopes"]);
    assert!(unknown.body["detail"]["scopes"].as_str().is_some_and(|text| text.contains("plans:read")));
    post(json!({"name": "a", "scopes": []})).await.wrong_fields(&["scopes"]);
    post(json!({"name": "a", "scopes": vec!["*"; 65]})).await.wrong_fields(&["scopes"]);
    for name in ["", "  ", "a\nb", &"n".repeat(65)] {
        post(json!({"name": name, "scopes": ["*"]})).await.wrong_fields(&["name"]);
    }
    post(json!({"name": "a", "scopes": ["*"], "expires_at": "2026-01-01T00:00:00"}))
        .await
        .wrong_fields(&["expires_at"]);
    post(json!({"name": "a", "scopes": ["x"], "addresses": ["192.0.2.0/33"]}))
        .await
        .wrong_fields(&["addresses", "scopes"]);
    post(json!({"name": "a", "scopes": ["*"], "addresses": vec!["::1"; 33]})).await.wrong_fields(&["addresses"]);
    post(json!({})).await.wrong_fields(&["name", "scopes"]);
    for _ in 0..100 {
        post(users()).await.ok();
    }
    post(users()).await.refused(409);
}

async fn guesses_are_limited_and_good_tokens_are_not(db: Db) {
    let panel = TestPanel::start_with(db, &[("LOGIN_ATTEMPTS_PER_MINUTE", "3")]).await;
    let (_, good) = make(&panel, "root", users()).await;
    let (_, later) = make(&panel, "root", users()).await;
    let from = async |token: &str| {
        let request = panel.request(Method::GET, "/api/users").header("x-forwarded-for", "9.9.9.9");
        send(request.bearer_auth(token)).await.status.as_u16()
    };
    assert_eq!(from(&good).await, 200);
    let guess = |number: u32| format!("sarban_{number:032x}_{}", "0".repeat(64));
    for number in 0..3 {
        assert_eq!(from(&guess(number)).await, 401);
    }
    let wrong_secret = format!("{}{}", &good[..good.len() - 64], "0".repeat(64));
    for refused in [&guess(3), &guess(0), &wrong_secret, &later] {
        assert_eq!(from(refused).await, 429, "{refused}");
    }
    assert_eq!(from(&good).await, 200, "it was found before");
    // What is no token costs nothing and is not counted.
    assert_eq!((from("sarban_x").await, from("sarban_").await), (401, 401));
    assert_eq!(status(&panel, &later).await, 200, "from elsewhere");
    panel.panel.clock.advance(60 * SECOND + 1);
    assert_eq!(from(&later).await, 200);
}

async fn last_use_of_a_token_is_written_in_the_background(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let (_, token) = make(&panel, "root", users()).await;
    assert_eq!(status(&panel, &token).await, 200);
    assert_eq!(panel.get("root", "/api/tokens").await.ok()["items"][0]["last_used_at"], Value::Null);
    panel.token_uses.flush(&db).await.expect("written");
    let listed = panel.get("root", "/api/tokens").await.ok();
    assert_eq!(listed["items"][0]["last_used_at"], "2026-11-23T20:36:25Z");
    assert_eq!(listed["items"][0]["last_address"], "127.0.0.1");
}
