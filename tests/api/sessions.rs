//! Sessions: what a sign-in begins, listed, and ended one by one or all at once, on all hosts.

use reqwest::Method;
use sarban::domain::moment::Moment;
use sarban::store::Db;
use sarban::store::access::sessions::{Use, prune, touch};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::panel::{Answer, START, TestPanel, send};
use crate::support::database::{execute, number, on_both_engines, texts};

on_both_engines! {
    sign_in_begins_a_session_that_is_listed_and_ended,
    ended_session_is_refused_on_another_host_within_a_second,
    all_sessions_end_but_that_of_the_request,
    new_password_ends_the_other_sessions,
    own_password_needs_the_present_one,
    sessions_of_others_are_for_sudo_admins,
    many_ended_sessions_stay_ended,
    many_sessions_are_bounded,
    last_use_is_written_in_the_background,
    sessions_end_with_their_admin,
}

async fn sign_in(panel: &TestPanel, name: &str, password: &str) -> String {
    let form = [("username", name), ("password", password)];
    let request = panel.request(Method::POST, "/api/admins/token").header("user-agent", "tests/1").form(&form);
    token(&send(request).await.ok())
}

#[track_caller]
fn token(answer: &Value) -> String {
    answer["access_token"].as_str().expect("a token").to_owned()
}

async fn by(panel: &TestPanel, token: &str, method: Method, path: &str) -> Answer {
    send(panel.request(method, path).bearer_auth(token)).await
}

async fn status(panel: &TestPanel, token: &str) -> u16 {
    by(panel, token, Method::GET, "/api/admins/current").await.status.as_u16()
}

async fn list(panel: &TestPanel, token: &str) -> Vec<Value> {
    let page = by(panel, token, Method::GET, "/api/sessions").await.ok();
    let items = page["items"].as_array().expect("items").clone();
    assert_eq!(page["total"], items.len());
    items
}

/// The id of the session of a token.
async fn own_id(panel: &TestPanel, token: &str) -> String {
    let items = list(panel, token).await;
    let current = items.iter().find(|item| item["is_current"] == true).expect("the session of the request");
    current["id"].as_str().expect("an id").to_owned()
}

async fn sign_in_begins_a_session_that_is_listed_and_ended(db: Db) {
    let panel = TestPanel::start(db).await;
    let first = sign_in(&panel, "root", "rootpass").await;
    panel.panel.clock.advance(1_000_000);
    let second = sign_in(&panel, "root", "rootpass").await;
    let items = list(&panel, &first).await;
    assert_eq!(items.len(), 2, "the token of the tests has no session");
    assert_eq!(items[0]["user_agent"], "tests/1");
    assert_eq!(items[0]["address"], "127.0.0.1");
    assert_eq!((&items[0]["is_current"], &items[1]["is_current"]), (&json!(false), &json!(true)));
    assert_eq!(items[1]["created_at"], "2026-11-23T20:36:25Z");
    assert_eq!(items[1]["expires_at"], "2026-11-24T20:36:25Z");
    let path = format!("/api/sessions/{}", own_id(&panel, &second).await);
    by(&panel, &first, Method::DELETE, &path).await.ok();
    assert_eq!((status(&panel, &first).await, status(&panel, &second).await), (200, 401), "at once");
    assert_eq!(list(&panel, &first).await.len(), 1);
    by(&panel, &first, Method::DELETE, &path).await.refused(404);
    for unknown in ["x", "1", "00000000-0000-0000-0000-000000000000"] {
        by(&panel, &first, Method::DELETE, &format!("/api/sessions/{unknown}")).await.refused(404);
    }
    // Signing out.
    let path = format!("/api/sessions/{}", own_id(&panel, &first).await);
    by(&panel, &first, Method::DELETE, &path).await.ok();
    assert_eq!(status(&panel, &first).await, 401);
}

async fn ended_session_is_refused_on_another_host_within_a_second(db: Db) {
    let here = TestPanel::start(db).await;
    // Without a wake-up between the two panels.
    let elsewhere = TestPanel::beside(&here, &[]).await;
    let (one, two) = (sign_in(&here, "root", "rootpass").await, sign_in(&here, "root", "rootpass").await);
    assert_eq!((status(&elsewhere, &one).await, status(&elsewhere, &two).await), (200, 200));
    let path = format!("/api/sessions/{}", own_id(&here, &two).await);
    by(&here, &one, Method::DELETE, &path).await.ok();
    assert_eq!((status(&elsewhere, &one).await, status(&elsewhere, &two).await), (200, 200), "the cache is in use");
    elsewhere.panel.clock.advance(1_000_000);
    assert_eq!((status(&elsewhere, &one).await, status(&elsewhere, &two).await), (200, 401));
    let ended = by(&here, &one, Method::DELETE, "/api/sessions").await.ok();
    elsewhere.panel.clock.advance(1_000_000);
    assert_eq!(status(&elsewhere, &one).await, 401);
    assert_eq!(status(&elsewhere, &token(&ended["token"])).await, 200);
}

async fn all_sessions_end_but_that_of_the_request(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let (one, two) = (sign_in(&panel, "root", "rootpass").await, sign_in(&panel, "root", "rootpass").await);
    let imported = panel.token_of("root");
    panel.panel.clock.advance(1_000_000);
    let id = own_id(&panel, &one).await;
    let next = token(&by(&panel, &one, Method::DELETE, "/api/sessions").await.ok()["token"]);
    for refused in [&one, &two, &imported] {
        assert_eq!(status(&panel, refused).await, 401);
    }
    assert_eq!(own_id(&panel, &next).await, id, "the session goes on");
    assert_eq!(list(&panel, &next).await.len(), 1);
    // The password is the same, and a request without a session begins one.
    let again = sign_in(&panel, "root", "rootpass").await;
    let last = token(&by(&panel, &panel.token_of("root"), Method::DELETE, "/api/sessions").await.ok()["token"]);
    assert_eq!((status(&panel, &again).await, status(&panel, &last).await), (401, 200));
    assert_eq!(list(&panel, &last).await.len(), 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_session").await, 1);
}

async fn new_password_ends_the_other_sessions(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let (one, two) = (sign_in(&panel, "root", "rootpass").await, sign_in(&panel, "root", "rootpass").await);
    let id = own_id(&panel, &one).await;
    let body = json!({"current_password": "rootpass", "new_password": "better"});
    let change = panel.request(Method::PUT, "/api/password").bearer_auth(&one).json(&body);
    let next = token(&send(change).await.ok());
    assert_eq!((status(&panel, &one).await, status(&panel, &two).await), (401, 401));
    assert_eq!(own_id(&panel, &next).await, id);
    sign_in(&panel, "root", "better").await;
    // By another route, all end.
    panel.panel.clock.advance(1_000_000);
    let route =
        panel.request(Method::PUT, "/api/admins/root").bearer_auth(&next).json(&json!({"password": "rootpass"}));
    send(route).await.ok();
    assert_eq!(status(&panel, &next).await, 401);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_session").await, 0);
}

async fn own_password_needs_the_present_one(db: Db) {
    let panel = TestPanel::start_with(db, &[("LOGIN_ATTEMPTS_PER_MINUTE", "1")]).await;
    let token = sign_in(&panel, "root", "rootpass").await;
    let change =
        async |body: Value| send(panel.request(Method::PUT, "/api/password").bearer_auth(&token).json(&body)).await;
    change(json!({"current_password": "rootpass", "new_password": ""})).await.wrong_fields(&["new_password"]);
    change(json!({})).await.wrong_fields(&["current_password", "new_password"]);
    let wrong = json!({"current_password": "wrong", "new_password": "better"});
    change(wrong.clone()).await.wrong_fields(&["current_password"]);
    change(wrong).await.refused(429);
    assert_eq!(status(&panel, &token).await, 200);
    let stranger = json!({"current_password": "rootpass", "new_password": "better"});
    send(panel.request(Method::PUT, "/api/password").json(&stranger)).await.refused(401);
}

async fn sessions_of_others_are_for_sudo_admins(db: Db) {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("alice", false).await;
    panel.insert_admin("other", true).await;
    let alice = sign_in(&panel, "alice", "alicepass").await;
    let other = sign_in(&panel, "other", "otherpass").await;
    let ids = (own_id(&panel, &alice).await, own_id(&panel, &other).await);
    for path in ["/api/sessions?admin=root", "/api/sessions?admin=nobody"] {
        by(&panel, &alice, Method::GET, path).await.refused(403);
        by(&panel, &alice, Method::DELETE, path).await.refused(403);
    }
    by(&panel, &alice, Method::DELETE, &format!("/api/sessions/{}", ids.1)).await.refused(404);
    let page = panel.get("root", "/api/sessions?admin=alice").await.ok();
    assert_eq!((&page["total"], &page["items"][0]["is_current"]), (&json!(1), &json!(false)));
    panel.get("root", "/api/sessions?admin=nobody").await.refused(404);
    // Another sudo admin is seen, and not changed.
    assert_eq!(panel.get("root", "/api/sessions?admin=other").await.ok()["total"], 1);
    panel.delete("root", &format!("/api/sessions/{}", ids.1)).await.refused(403);
    panel.delete("root", "/api/sessions?admin=other").await.refused(403);
    assert_eq!(status(&panel, &other).await, 200);
    let again = sign_in(&panel, "alice", "alicepass").await;
    panel.delete("root", &format!("/api/sessions/{}", ids.0)).await.ok();
    assert_eq!((status(&panel, &alice).await, status(&panel, &again).await), (401, 200));
    assert_eq!(panel.delete("root", "/api/sessions?admin=alice").await.ok(), json!({"token": null}));
    assert_eq!(status(&panel, &again).await, 401);
}

/// Inserts 1,500 sessions of the first admin.
async fn insert_many(db: &Db) {
    let sql = match db {
        Db::Pg(_) => {
            "INSERT INTO admin_session (id, admin_id, password_version, created_at, last_used_at, user_agent)
             SELECT gen_random_uuid(), (SELECT MIN(id) FROM admins), 0, 1, n, 'many' FROM generate_series(1, 1500) AS n"
        }
        Db::Lite(_) => {
            "INSERT INTO admin_session (id, admin_id, password_version, created_at, last_used_at, user_agent)
             WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1500)
             SELECT randomblob(16), (SELECT MIN(id) FROM admins), 0, 1, n, 'many' FROM numbers"
        }
    };
    execute(db, sql).await;
}

async fn many_ended_sessions_stay_ended(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let (one, two) = (sign_in(&panel, "root", "rootpass").await, sign_in(&panel, "root", "rootpass").await);
    let path = format!("/api/sessions/{}", own_id(&panel, &two).await);
    by(&panel, &one, Method::DELETE, &path).await.ok();
    insert_many(&db).await;
    execute(&db, "UPDATE admin_session SET ended_at = 5 WHERE user_agent = 'many'").await;
    panel.panel.clock.advance(1_000_000);
    assert_eq!((status(&panel, &one).await, status(&panel, &two).await), (200, 401));
}

async fn many_sessions_are_bounded(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let first = sign_in(&panel, "root", "rootpass").await;
    let other = sign_in(&panel, "root", "rootpass").await;
    let other_id = own_id(&panel, &other).await;
    execute(&db, "UPDATE admin_session SET last_used_at = 0").await;
    insert_many(&db).await;
    sign_in(&panel, "root", "rootpass").await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_session").await, 1_000);
    assert_eq!(status(&panel, &first).await, 200, "its token is still good");
    // Signing out of a session that is not listed any more.
    let path = format!("/api/sessions/{other_id}");
    by(&panel, &first, Method::DELETE, &path).await.refused(404);
    by(&panel, &other, Method::DELETE, &path).await.ok();
    assert_eq!(status(&panel, &other).await, 401);
    by(&panel, &first, Method::DELETE, "/api/sessions").await.ok();
    assert_eq!(status(&panel, &first).await, 401);
}

async fn last_use_is_written_in_the_background(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let token = sign_in(&panel, "root", "rootpass").await;
    panel.panel.clock.advance(60_000_000);
    let request = panel.request(Method::GET, "/api/admins/current").header("x-forwarded-for", "192.0.2.9");
    send(request.bearer_auth(&token)).await.ok();
    assert_eq!(number(&db, "SELECT last_used_at FROM admin_session").await, START, "no write for a request");
    panel.uses.flush(&db).await.expect("written");
    assert_eq!(number(&db, "SELECT last_used_at FROM admin_session").await, START + 60_000_000);
    assert_eq!(texts(&db, "SELECT address FROM admin_session").await, ["192.0.2.9"]);
    // An older use of another host changes nothing, and neither does one of a session that is gone.
    let id = Uuid::parse_str(&own_id(&panel, &token).await).expect("an id");
    let at = Moment::from_micros(START + 1);
    let uses = [id, Uuid::new_v4()].map(|id| Use { id, at, address: Some("192.0.2.1".to_owned()) });
    db.transaction("touch", async |tx| touch(tx, &uses).await).await.expect("written");
    assert_eq!(texts(&db, "SELECT address FROM admin_session").await, ["192.0.2.9"]);
}

async fn sessions_end_with_their_admin(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("alice", false).await;
    let alice = sign_in(&panel, "alice", "alicepass").await;
    let root = sign_in(&panel, "root", "rootpass").await;
    assert_eq!(status(&panel, &alice).await, 200);
    panel.delete("root", "/api/admins/alice").await.ok();
    assert_eq!(status(&panel, &alice).await, 401);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_session").await, 1);
    // Those whose tokens have expired are deleted later.
    panel.panel.clock.advance(86_400_000_000);
    let now = panel.panel.clock.now();
    assert_eq!(status(&panel, &root).await, 401);
    let removed = db.transaction("prune", async |tx| prune(tx, now, 10).await).await.expect("pruned");
    assert_eq!(removed, 0, "not in the same moment");
    let removed = db.transaction("prune", async |tx| prune(tx, now.plus(1), 10).await).await.expect("pruned");
    assert_eq!(removed, 1);
}
