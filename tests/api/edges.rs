//! What edges report: themselves, in the view of the cluster, and the fetches that they served, each batch once.

use prost::Message;
use reqwest::Method;
use sarban::domain::copy::{CopiedUser, Update, UserPage};
use sarban::domain::edge::{AWAY, Edge, EdgeReport, FORMAT, FORMAT_HEADER, MAX_EDGES};
use sarban::domain::moment::{DAY, SECOND};
use sarban::store::{Db, Engine, edges};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::panel::{Answer, TestPanel, send};
use crate::support::database::{number, on_both_engines};

on_both_engines! {
    edge_is_in_the_view_of_the_cluster_until_it_leaves,
    batch_that_is_sent_twice_counts_once,
    last_fetch_of_a_user_in_a_batch_counts,
    batch_that_is_not_sent_again_is_forgotten,
    edge_learns_that_a_later_one_has_its_id,
    wrong_reports_name_the_field,
    new_edge_takes_the_place_of_one_that_is_away,
    report_of_a_later_version_is_taken,
    edge_reads_users_and_changes_without_notes,
}

const ID: &str = "6b1c1f0e-4d0f-4c6e-9a55-0c0f5f1d2a01";

fn report() -> Value {
    json!({"id": ID, "host": "edge-1", "version": "1.2.3", "started_at": 1, "users": 5, "is_complete": true,
           "waiting_fetches": 2})
}

fn with(field: &str, value: Value) -> Value {
    let mut report = report();
    report[field] = value;
    report
}

async fn edge_is_in_the_view_of_the_cluster_until_it_leaves(db: Db) {
    let panel = TestPanel::start(db).await;
    let edges = async || panel.get("root", "/api/cluster").await.ok()["edges"].clone();
    assert_eq!(edges().await, json!([]));
    panel.post("root", "/api/edge/report", report()).await.ok();
    let seen = panel.panel.clock.now().utc_iso();
    let edge = json!({"id": ID, "host": "edge-1", "version": "1.2.3", "started_at": "1970-01-01T00:00:00.000001Z",
        "last_seen": seen, "is_connected": true, "is_complete": true, "users": 5, "waiting_fetches": 2});
    assert_eq!(edges().await, json!([edge]));
    panel.panel.clock.advance(AWAY + 1);
    assert_eq!(edges().await[0]["is_connected"], false);
    panel.post("root", "/api/edge/report", with("users", json!(6))).await.ok();
    let again = edges().await;
    assert_eq!((again.as_array().map(Vec::len), &again[0]["users"]), (Some(1), &json!(6)));
    assert_eq!(again[0]["is_connected"], true);
    panel.post("root", "/api/edge/report", with("is_leaving", json!(true))).await.ok();
    assert_eq!(edges().await, json!([]));
}

async fn batch_that_is_sent_twice_counts_once(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let ann = json!({"username": "ann", "expire_strategy": "never"});
    let ann = panel.post("root", "/api/users", ann).await.ok()["id"].clone();
    let batch = |id: &str, agent: &str| {
        let fetch = json!({"user_id": ann, "at": 1_000_000, "user_agent": agent});
        with("batch", json!({"id": id, "fetches": [{"user_id": 999, "at": 5}, fetch]}))
    };
    let agent = async || {
        // Users are cached for a second.
        panel.panel.clock.advance(2 * SECOND);
        panel.get("root", "/api/users/ann").await.ok()["sub_last_user_agent"].clone()
    };
    let (one, two) = ("6b1c1f0e-4d0f-4c6e-9a55-0c0f5f1d2a02", "6b1c1f0e-4d0f-4c6e-9a55-0c0f5f1d2a03");
    panel.post("root", "/api/edge/report", batch(one, "clash")).await.ok();
    assert_eq!(agent().await, "clash", "users who do not exist are left out");
    // The answer was lost, and the edge sends it again.
    panel.post("root", "/api/edge/report", batch(one, "changed")).await.ok();
    assert_eq!(agent().await, "clash");
    panel.post("root", "/api/edge/report", batch(two, "sing-box")).await.ok();
    assert_eq!(agent().await, "sing-box");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM edge_batch").await, 2);
    // An edge that takes a batch for settled and sends it all the same.
    let settled = |agent: &str| {
        let mut report = batch(two, agent);
        report["settled_batch"] = json!(two);
        report
    };
    panel.post("root", "/api/edge/report", settled("again")).await.ok();
    assert_eq!(agent().await, "sing-box", "a batch that is sent again is not forgotten before");
}

async fn last_fetch_of_a_user_in_a_batch_counts(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let ann = json!({"username": "ann", "expire_strategy": "never"});
    let ann = panel.post("root", "/api/users", ann).await.ok()["id"].clone();
    let fetch = |at: i64, agent: &str| json!({"user_id": ann, "at": at, "user_agent": agent});
    let fetches = [fetch(2_000_000, "second"), fetch(3_000_000, "third"), fetch(1_000_000, "first")];
    panel.post("root", "/api/edge/report", with("batch", json!({"id": ID, "fetches": fetches}))).await.ok();
    let stored = "SELECT COUNT(*) FROM subscription_fetches WHERE user_agent = 'third' AND fetched_at = 3000000";
    assert_eq!(number(&db, stored).await, 1);
    // One that waited for long says nothing new.
    let late = json!({"id": Uuid::from_u128(9), "fetches": [fetch(2_500_000, "late")]});
    panel.post("root", "/api/edge/report", with("batch", late)).await.ok();
    assert_eq!(number(&db, stored).await, 1, "a later batch with an earlier fetch");
    // Of a clock that is wrong: it would hide all fetches until then.
    let now = panel.panel.clock.now();
    let ahead = json!({"id": Uuid::from_u128(10), "fetches": [fetch(now.plus(DAY).micros(), "ahead")]});
    panel.post("root", "/api/edge/report", with("batch", ahead)).await.ok();
    let stored = format!(
        "SELECT COUNT(*) FROM subscription_fetches WHERE user_agent = 'ahead' AND fetched_at = {}",
        now.micros()
    );
    assert_eq!(number(&db, &stored).await, 1, "a fetch of tomorrow is one of now");
}

async fn batch_that_is_not_sent_again_is_forgotten(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let id = |nth: u128| Uuid::from_u128(nth).to_string();
    let report = async |batch: Option<u128>, settled: Option<u128>| {
        let mut report = report();
        report["batch"] = batch.map_or(Value::Null, |nth| json!({"id": id(nth), "fetches": []}));
        report["settled_batch"] = settled.map_or(Value::Null, |nth| id(nth).into());
        panel.post("root", "/api/edge/report", report).await.ok();
        number(&db, "SELECT COUNT(*) FROM edge_batch").await
    };
    assert_eq!(report(Some(1), None).await, 1);
    // The answer was lost.
    assert_eq!(report(Some(1), None).await, 1);
    assert_eq!(report(Some(2), Some(1)).await, 1);
    assert_eq!(report(None, Some(7)).await, 1, "another one stays");
    assert_eq!(report(None, Some(2)).await, 0);
    panel.post("root", "/api/edge/report", with("settled_batch", json!("x"))).await.wrong_fields(&["settled_batch"]);
}

async fn edge_learns_that_a_later_one_has_its_id(db: Db) {
    let panel = TestPanel::start(db).await;
    let is_shared = async |started_at: i64| {
        panel.post("root", "/api/edge/report", with("started_at", json!(started_at))).await.ok()["is_id_shared"].clone()
    };
    assert_eq!(is_shared(5).await, false);
    assert_eq!(is_shared(5).await, false, "itself");
    // After a restart.
    assert_eq!(is_shared(6).await, false);
    assert_eq!(is_shared(5).await, true);
    assert_eq!(is_shared(6).await, false, "one of the two takes another id");
    panel.panel.clock.advance(AWAY + 1);
    assert_eq!(is_shared(5).await, false, "the other one is gone");
}

async fn new_edge_takes_the_place_of_one_that_is_away(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let listed = async || number(&db, "SELECT COUNT(*) FROM edge").await;
    let is_listed = async |host: &str| {
        let edges = panel.get("root", "/api/cluster").await.ok()["edges"].clone();
        edges.as_array().is_some_and(|edges| edges.iter().any(|edge| edge["host"] == host))
    };
    let own_id = |id: u128| Uuid::from_u128(id).to_string();
    let edge = |id: u128, host: &str| {
        let mut report = with("id", json!(own_id(id)));
        report["host"] = json!(host);
        report
    };
    // One has been away for longer than the others, which is what the limit is filled with.
    panel.post("root", "/api/edge/report", edge(1, "longest")).await.ok();
    panel.panel.clock.advance(SECOND);
    let now = panel.panel.clock.now();
    let mut tx = db.begin().await.expect("a transaction");
    for id in 2..=u128::from(MAX_EDGES.unsigned_abs()) {
        let id = Uuid::from_u128(id);
        let (host, version) = ("other".to_owned(), "1".to_owned());
        let other = Edge { id, host, version, started_at: now, report: EdgeReport::default() };
        edges::report(&mut tx, &other, now).await.expect("stored");
    }
    tx.commit().await.expect("committed");
    assert_eq!(listed().await, MAX_EDGES);

    // All have reported lately: a new one is refused, and one that is listed is not.
    let refused = panel.post("root", "/api/edge/report", edge(5_000, "new")).await;
    let detail = refused.body["detail"].as_str().expect("a text");
    assert_eq!(refused.status.as_u16(), 429, "{detail}");
    assert!(detail.contains(&MAX_EDGES.to_string()), "the limit is not named: {detail}");
    panel.post("root", "/api/edge/report", edge(2, "again")).await.ok();
    assert_eq!((listed().await, is_listed("new").await), (MAX_EDGES, false));

    panel.panel.clock.advance(AWAY);
    panel.post("root", "/api/edge/report", edge(5_000, "new")).await.ok();
    assert_eq!(listed().await, MAX_EDGES);
    assert_eq!((is_listed("new").await, is_listed("longest").await, is_listed("again").await), (true, false, true));
}

async fn report_of_a_later_version_is_taken(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let mut report = with("later", json!({"a": [1]}));
    report["batch"] = json!({"id": ID, "later": 1, "fetches": [{"user_id": 1, "at": 5, "later": null}]});
    panel.post("root", "/api/edge/report", report).await.ok();
    // An earlier one says less.
    panel
        .post("root", "/api/edge/report", json!({"id": ID, "host": "edge-1", "version": "1", "started_at": 1}))
        .await
        .ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM edge").await, 1);
}

async fn wrong_reports_name_the_field(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let ask = async |body: Value| -> Answer { panel.post("root", "/api/edge/report", body).await };
    for (body, field) in [
        (with("id", json!("x")), "id"),
        (with("host", json!("")), "host"),
        (with("version", json!("1\u{202e}")), "version"),
        (with("batch", json!({"id": "x", "fetches": []})), "batch.id"),
        (with("batch", json!({"id": ID, "fetches": vec![json!({"user_id": 1, "at": 1}); 1_001]})), "batch.fetches"),
        (with("users", json!(-1)), "users"),
    ] {
        ask(body).await.wrong_fields(&[field]);
    }
    assert_eq!(number(&db, "SELECT COUNT(*) FROM edge").await, 0);
    // A token without the scope.
    let body = json!({"name": "reader", "scopes": ["edge:read"]});
    let token = panel.post("root", "/api/tokens", body).await.ok()["secret"].clone();
    let request = panel.request(Method::POST, "/api/edge/report").bearer_auth(token.as_str().expect("a token"));
    let refused = send(request.json(&report())).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["detail"]),
        (403, &json!("The API token lacks the scope edge:write"))
    );
}

async fn edge_reads_users_and_changes_without_notes(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let ann = json!({"username": "ann", "expire_strategy": "never", "note": "for admins"});
    let id = panel.post("root", "/api/users", ann).await.ok()["id"].as_i64().expect("an id");
    let start = panel.get("root", "/api/edge/start").await.ok();
    let position = start["position"].as_str().expect("a position").to_owned();
    assert_eq!(
        (&start["auth_generation_algorithm"], &start["subscription_url_prefix"]),
        (&json!("xxh128"), &json!(""))
    );
    let page = async |after: i64| {
        let request = panel.request(Method::GET, &format!("/api/edge/users?after={after}&limit=1"));
        let response = request.bearer_auth(panel.token_of("root")).send().await.expect("an answer");
        UserPage::decode(response.bytes().await.expect("a body")).expect("a page").users
    };
    let note = |user: &CopiedUser| user.clone().user(|_| None).note;
    let first = page(0).await;
    assert_eq!((first.len(), first[0].username.as_str(), note(&first[0])), (1, "ann", None));
    assert!(page(id).await.is_empty(), "there are no further users");

    let changes = async |after: &str| {
        let request = panel.request(Method::POST, "/api/edge/changes").bearer_auth(panel.token_of("root"));
        request.json(&json!({"after": after})).send().await.expect("an answer")
    };
    let update =
        async |after: &str| Update::decode(changes(after).await.bytes().await.expect("a body")).expect("an update");
    let format = changes(&position).await.headers()[FORMAT_HEADER].clone();
    assert_eq!(format.to_str().expect("a text"), FORMAT.to_string());
    let none = update(&position).await;
    assert!(none.is_empty());
    panel.put("root", "/api/users/ann", json!({"username": "ann", "data_limit": 5, "note": "still"})).await.ok();
    let changed = update(&none.position).await;
    assert_eq!(changed.users.iter().map(|user| (user.id, note(user))).collect::<Vec<_>>(), [(id, None)]);
    panel.delete("root", "/api/users/ann").await.ok();
    assert_eq!(update(&changed.position).await.gone, [id]);
    // A position of another database, or of nothing at all.
    let other = start["position"].as_str().expect("a position").replacen("database\":\"", "database\":\"0", 1);
    for lost in [other.as_str(), "x", ""] {
        assert_eq!(changes(lost).await.status(), 410, "{lost}");
    }
    // Of another server with the same database: a back-up that was restored, or one that took over. SQLite does not tell servers apart.
    let mut of_another: Value = serde_json::from_str(&position).expect("JSON");
    of_another["incarnation"] = json!("7/7");
    let expected = if db.engine() == Engine::Postgres { 410 } else { 503 };
    assert_eq!(changes(&of_another.to_string()).await.status(), expected, "the changes of another server");
    panel.post("root", "/api/edge/changes", json!({})).await.wrong_fields(&["after"]);

    let shared = panel.get("root", "/api/edge/shared").await.ok();
    assert_eq!(shared["owners"][0]["username"], "root");
    assert!(!shared.to_string().contains("hashed_password"), "{shared}");
}
