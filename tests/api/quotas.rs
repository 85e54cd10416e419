//! Quotas of admins: what is shown, what is refused on each way by which users come to an admin or become active, and that two
//! processes at once never exceed one.

use futures_util::future::join_all;
use sarban::actions::admins::Actor;
use sarban::actions::changes::Changes;
use sarban::actions::users::{self, UserError};
use sarban::actions::{Panel, quotas};
use sarban::domain::quota::Quota;
use sarban::domain::user::edit::NewUser;
use sarban::store::{Db, OpenOptions};
use serde_json::{Value, json};

use crate::api::panel::{Answer, TestPanel};
use crate::store::users::{alice, named, panel as two_admins, root};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    quota_is_set_shown_and_reset,
    quota_below_its_use_or_with_wrong_values_is_refused,
    every_way_to_an_admin_with_a_full_quota_is_refused,
    every_way_to_become_active_is_counted,
    user_without_a_limit_or_an_end_is_refused_where_the_quota_has_one,
    used_up_traffic_refuses_new_users,
    used_up_quota_is_named_by_the_diagnosis_and_reviewed_at_once,
    traffic_of_another_owner_does_not_count,
    two_processes_never_exceed_a_quota_by_one,
    two_processes_never_activate_one_user_more,
    quota_that_is_set_meanwhile_counts_all_users,
}

const QUOTA: &str = "/api/admins/eve/quota";

/// A panel with the admin eve.
async fn panel(db: Db) -> TestPanel {
    let panel = TestPanel::start(db).await;
    panel.insert_admin("eve", false).await;
    panel
}

async fn user(panel: &TestPanel, by: &str, name: &str, more: Value) -> Answer {
    let mut body = json!({"username": name, "expire_strategy": "never"});
    for (field, value) in more.as_object().expect("fields") {
        body[field] = value.clone();
    }
    panel.post(by, "/api/users", body).await
}

async fn edit(panel: &TestPanel, name: &str, change: Value) -> Answer {
    let mut body = json!({"username": name});
    change.as_object().expect("fields").iter().for_each(|(field, value)| body[field] = value.clone());
    panel.put("eve", &format!("/api/users/{name}"), body).await
}

/// Records traffic of a user as a recording of usage does.
async fn spend(db: &Db, name: &str, bytes: i64) {
    let user = format!("(SELECT id FROM users WHERE username = '{name}')");
    execute(
        db,
        &format!(
            "UPDATE user_traffic SET used_traffic = used_traffic + {bytes}, lifetime_used_traffic = lifetime_used_traffic + {bytes}
             WHERE user_id = {user}"
        ),
    )
    .await;
    let owner = number(db, &format!("SELECT owner_id FROM users WHERE username = '{name}'")).await;
    let conflict = match db {
        Db::Pg(_) => "",
        Db::Lite(_) => " ON CONFLICT (owner_id) DO UPDATE SET traffic = traffic + excluded.traffic",
    };
    execute(db, &format!("INSERT INTO owner_totals (owner_id, users, traffic) VALUES ({owner}, 0, {bytes}){conflict}"))
        .await;
}

#[track_caller]
fn says(answer: &Answer, status: u16, text: &str) {
    answer.refused(status);
    assert!(
        answer.body["detail"].as_str().is_some_and(|detail| detail.contains(text)),
        "{} instead of {text}",
        answer.body
    );
}

async fn quota_is_set_shown_and_reset(db: Db) {
    let panel = panel(db.clone()).await;
    panel.insert_admin("bob", false).await;
    let none = panel.get("root", QUOTA).await.ok();
    assert_eq!((&none["limits"]["users"], &none["used"]["users"]), (&Value::Null, &json!(0)));
    user(&panel, "eve", "ann", json!({})).await.ok();
    let limits = json!({"users": 5, "active_users": 4, "traffic": 1_000, "traffic_reset_strategy": "month",
        "max_data_limit": 100, "max_duration": 86_400, "when_used_up": "disable"});
    let set = panel.put("root", QUOTA, limits.clone()).await.ok();
    assert_eq!(set["limits"], limits);
    spend(&db, "ann", 400).await;
    let own = panel.get("eve", QUOTA).await.ok();
    assert_eq!(own["used"], json!({"users": 1, "active_users": 1, "traffic": 400}));
    assert_eq!((&own["is_used_up"], &own["disabled_users"]), (&json!(false), &json!(0)));
    assert_eq!(own["next_reset_at"], "2026-12-23T20:36:25Z");
    panel.get("bob", QUOTA).await.refused(403);
    panel.put("eve", QUOTA, limits).await.refused(403);
    panel.post("eve", "/api/admins/eve/quota/reset", Value::Null).await.refused(403);
    panel.get("root", "/api/admins/nobody/quota").await.refused(404);
    let reset = panel.post("root", "/api/admins/eve/quota/reset", Value::Null).await.ok();
    assert_eq!(reset["used"]["traffic"], 0);
    panel.put("root", QUOTA, json!({})).await.ok();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_quota").await, 0, "no limits, no quota");
    panel.post("root", "/api/admins/eve/quota/reset", Value::Null).await.refused(409);
}

async fn quota_below_its_use_or_with_wrong_values_is_refused(db: Db) {
    let panel = panel(db.clone()).await;
    for name in ["ann", "ben"] {
        user(&panel, "eve", name, json!({})).await.ok();
    }
    for field in ["users", "active_users"] {
        let below = panel.put("root", QUOTA, json!({field: 1})).await;
        below.wrong_fields(&[field]);
        assert!(
            below.body["detail"][field].as_str().is_some_and(|text| text.ends_with("which is 2")),
            "{}",
            below.body
        );
    }
    assert_eq!(number(&db, "SELECT COUNT(*) FROM admin_quota").await, 0, "nothing is half written");
    panel.put("root", QUOTA, json!({"users": 2, "traffic": 1_000})).await.ok();
    spend(&db, "ann", 500).await;
    panel
        .put("root", QUOTA, json!({"users": 2, "traffic": 499, "when_used_up": "disable"}))
        .await
        .wrong_fields(&["traffic"]);
    assert_eq!(panel.get("root", QUOTA).await.ok()["limits"]["traffic"], 1_000);
    panel.put("root", QUOTA, json!({"users": 2, "traffic": 500})).await.ok();
    let wrong = json!({"users": 0, "active_users": -1, "traffic": "much", "traffic_reset_strategy": "monthly",
        "max_data_limit": 0, "max_duration": 0, "when_used_up": "delete"});
    let fields = [
        "active_users",
        "max_data_limit",
        "max_duration",
        "traffic",
        "traffic_reset_strategy",
        "users",
        "when_used_up",
    ];
    panel.put("root", QUOTA, wrong).await.wrong_fields(&fields);
}

async fn every_way_to_an_admin_with_a_full_quota_is_refused(db: Db) {
    let panel = panel(db.clone()).await;
    panel.insert_admin("bob", false).await;
    user(&panel, "eve", "ann", json!({})).await.ok();
    user(&panel, "bob", "ben", json!({})).await.ok();
    user(&panel, "bob", "carl", json!({})).await.ok();
    panel.put("root", QUOTA, json!({"users": 2})).await.ok();
    let given = "/api/admins/bob/users/set-owner?admin_username=eve";
    says(
        &panel.put("root", given, Value::Null).await,
        403,
        "users of admin eve is used up: 1 of 2, and 2 more are asked for",
    );
    let to_eve = json!({"action": "set_owner", "admin_username": "eve", "filter": {}});
    says(&panel.post("root", "/api/users/bulk", to_eve).await, 403, "1 of 2, and 2 more");
    user(&panel, "eve", "dora", json!({})).await.ok();
    let full = "The quota of users of admin eve is used up: 2 of 2";
    says(&user(&panel, "eve", "emil", json!({})).await, 403, full);
    says(&panel.put("root", "/api/users/ben/set-owner?admin_username=eve", Value::Null).await, 403, full);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 4);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change").await, 4, "nothing is half written");
    panel.delete("eve", "/api/users/ann").await.ok();
    panel.put("root", "/api/users/dora/set-owner?admin_username=eve", Value::Null).await.ok();
    panel.put("root", "/api/users/ben/set-owner?admin_username=eve", Value::Null).await.ok();
    assert_eq!(panel.get("eve", QUOTA).await.ok()["used"]["users"], 2);
    // A disabled user is a user.
    panel.post("eve", "/api/users/ben/disable", Value::Null).await.ok();
    says(&user(&panel, "eve", "emil", json!({})).await, 403, full);
}

async fn every_way_to_become_active_is_counted(db: Db) {
    let panel = panel(db.clone()).await;
    panel.insert_admin("bob", false).await;
    let past = json!({"expire_strategy": "fixed_date", "expire_date": "2020-01-01T00:00:00"});
    user(&panel, "eve", "expired", past).await.ok();
    user(&panel, "eve", "limited", json!({"data_limit": 5})).await.ok();
    spend(&db, "limited", 5).await;
    user(&panel, "eve", "disabled", json!({})).await.ok();
    panel.post("eve", "/api/users/disabled/disable", Value::Null).await.ok();
    user(&panel, "bob", "given", json!({})).await.ok();
    user(&panel, "eve", "active", json!({})).await.ok();
    panel.put("root", QUOTA, json!({"active_users": 1})).await.ok();
    let ids: Vec<Value> = panel.get("eve", "/api/users").await.ok()["items"].as_array().unwrap().clone();
    let ids: Vec<&Value> = ids.iter().map(|user| &user["id"]).collect();
    let bulk = |change: Value| {
        let mut body = json!({"ids": ids});
        change.as_object().unwrap().iter().for_each(|(key, value)| body[key] = value.clone());
        panel.post("eve", "/api/users/bulk", body)
    };
    let before = number(&db, "SELECT COUNT(*) FROM audit_entry").await;
    let renewed = json!({"expire_strategy": "fixed_date", "expire_date": "2027-01-01T00:00:00"});
    let refused = [
        user(&panel, "eve", "more", json!({})).await,
        edit(&panel, "expired", renewed).await,
        edit(&panel, "limited", json!({"data_limit": 6})).await,
        edit(&panel, "limited", json!({"data_limit_reset_strategy": "month"})).await,
        panel.post("eve", "/api/users/limited/reset", Value::Null).await,
        panel.post("eve", "/api/users/disabled/enable", Value::Null).await,
        panel.put("root", "/api/users/given/set-owner?admin_username=eve", Value::Null).await,
        panel.put("root", "/api/admins/bob/users/set-owner?admin_username=eve", Value::Null).await,
        panel.post("root", "/api/admins/eve/enable_users", Value::Null).await,
        bulk(json!({"action": "enable"})).await,
        bulk(json!({"action": "reset"})).await,
        bulk(json!({"action": "extend", "seconds": 86_400})).await,
        bulk(json!({"action": "add_data", "bytes": 10})).await,
    ];
    for answer in refused {
        says(&answer, 403, "The quota of active users of admin eve is used up: 1 of 1");
    }
    assert_eq!(number(&db, "SELECT COUNT(*) FROM audit_entry").await, before, "nothing is half written");
    // What activates nobody passes.
    user(&panel, "eve", "late", json!({"expire_strategy": "fixed_date", "expire_date": "2020-01-01T00:00:00"}))
        .await
        .ok();
    edit(&panel, "expired", json!({"note": "n"})).await.ok();
    panel.post("eve", "/api/users/active/reset", Value::Null).await.ok();
    panel.post("eve", "/api/users/active/disable", Value::Null).await.ok();
    panel.post("eve", "/api/users/disabled/enable", Value::Null).await.ok();
    assert_eq!(panel.get("eve", QUOTA).await.ok()["used"]["active_users"], 1);
}

async fn user_without_a_limit_or_an_end_is_refused_where_the_quota_has_one(db: Db) {
    let panel = panel(db).await;
    user(&panel, "eve", "old", json!({})).await.ok();
    panel.put("root", QUOTA, json!({"max_data_limit": 100, "max_duration": 86_400})).await.ok();
    let fits = json!({"data_limit": 100, "expire_strategy": "fixed_date", "expire_date": "2026-11-24T20:36:25"});
    user(&panel, "eve", "fits", fits).await.ok();
    let wrong = [
        (json!({}), "data_limit"),
        (json!({"data_limit": 101}), "data_limit"),
        (json!({"data_limit": 100}), "expire_strategy"),
        (
            json!({"data_limit": 1, "expire_strategy": "fixed_date", "expire_date": "2026-11-24T20:36:26"}),
            "expire_date",
        ),
        (json!({"data_limit": 1, "expire_strategy": "start_on_first_use", "usage_duration": 86_401}), "usage_duration"),
    ];
    for (fields, field) in wrong {
        let answer = user(&panel, "eve", "wrong", fields).await;
        answer.wrong_fields(&[field]);
        let most = if field == "data_limit" { "at most 100 bytes" } else { "at most 86400 seconds" };
        assert!(answer.body["detail"][field].as_str().is_some_and(|text| text.contains(most)), "{}", answer.body);
    }
    edit(&panel, "fits", json!({"data_limit": 101})).await.wrong_fields(&["data_limit"]);
    edit(&panel, "fits", json!({"data_limit": 0})).await.wrong_fields(&["data_limit"]);
    edit(&panel, "fits", json!({"expire_strategy": "never"})).await.wrong_fields(&["expire_strategy"]);
    let ids = [panel.get("eve", "/api/users/fits").await.ok()["id"].clone()];
    let more = json!({"action": "add_data", "bytes": 1, "ids": ids});
    panel.post("eve", "/api/users/bulk", more).await.wrong_fields(&["data_limit"]);
    let longer = json!({"action": "extend", "seconds": 60, "ids": ids});
    panel.post("eve", "/api/users/bulk", longer).await.wrong_fields(&["expire_date"]);
    // A user from before the quota stays as it is.
    edit(&panel, "old", json!({"note": "n"})).await.ok();
}

async fn used_up_traffic_refuses_new_users(db: Db) {
    let panel = panel(db.clone()).await;
    user(&panel, "eve", "ann", json!({})).await.ok();
    user(&panel, "eve", "ben", json!({})).await.ok();
    user(&panel, "root", "given", json!({})).await.ok();
    spend(&db, "ann", 70).await;
    panel.put("root", QUOTA, json!({"traffic": 100})).await.ok();
    spend(&db, "ann", 99).await;
    user(&panel, "eve", "carl", json!({})).await.ok();
    panel.post("eve", "/api/users/ben/disable", Value::Null).await.ok();
    spend(&db, "ben", 1).await;
    let full = "The quota of traffic of admin eve is used up: 100 of 100 bytes";
    says(&user(&panel, "eve", "dora", json!({})).await, 403, full);
    says(&panel.put("root", "/api/users/given/set-owner?admin_username=eve", Value::Null).await, 403, full);
    assert_eq!(panel.get("eve", QUOTA).await.ok()["is_used_up"], true);
    panel.post("eve", "/api/users/ben/enable", Value::Null).await.ok();
    panel.post("eve", "/api/users/ben/disable", Value::Null).await.ok();
    panel.put("root", QUOTA, json!({"traffic": 100, "when_used_up": "disable"})).await.ok();
    says(&panel.post("eve", "/api/users/ben/enable", Value::Null).await, 403, full);
    says(&panel.post("root", "/api/admins/eve/enable_users", Value::Null).await, 403, full);
    panel.post("root", "/api/admins/eve/quota/reset", Value::Null).await.ok();
    panel.post("eve", "/api/users/ben/enable", Value::Null).await.ok();
}

async fn traffic_of_another_owner_does_not_count(db: Db) {
    let panel = panel(db.clone()).await;
    user(&panel, "eve", "ann", json!({})).await.ok();
    user(&panel, "root", "ben", json!({})).await.ok();
    spend(&db, "ben", 1_000).await;
    panel.put("root", QUOTA, json!({"traffic": 100})).await.ok();
    panel.put("root", "/api/users/ben/set-owner?admin_username=eve", Value::Null).await.ok();
    assert_eq!(panel.get("eve", QUOTA).await.ok()["used"]["traffic"], 0, "what a user brings is not the admin's");
    spend(&db, "ben", 30).await;
    panel.put("root", "/api/users/ben/set-owner?admin_username=root", Value::Null).await.ok();
    spend(&db, "ben", 500).await;
    panel.delete("eve", "/api/users/ann").await.ok();
    assert_eq!(panel.get("eve", QUOTA).await.ok()["used"]["traffic"], 30, "what it used stays when it leaves");
}

/// The panels of two processes on one database, with alice's quota.
async fn two_hosts(options: &OpenOptions, quota: Quota) -> (Panel, Panel) {
    let (here, there) = (Db::open(options).await.unwrap(), Db::open(options).await.unwrap());
    let here = two_admins(&here).await;
    let there = Panel { db: there, changes: Changes::default(), ..here.clone() };
    quotas::set(&here, Actor::Operator, "alice", &quota).await.unwrap();
    (here, there)
}

fn new_user(nth: usize) -> NewUser {
    named(&format!("user{nth}"))
}

async fn two_processes_never_exceed_a_quota_by_one(options: OpenOptions) {
    let (here, there) = two_hosts(&options, Quota { users: Some(7), ..Quota::NONE }).await;
    let create = async |nth: usize| {
        let panel = if nth.is_multiple_of(2) { &here } else { &there };
        users::create(panel, &alice(), new_user(nth)).await
    };
    let done = join_all((0..20).map(create)).await;
    assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 7);
    for error in done.into_iter().filter_map(Result::err) {
        assert!(matches!(error, UserError::Quota(_)), "{error:?}");
    }
    assert_eq!(number(&here.db, "SELECT COUNT(*) FROM users WHERE owner_id = 2").await, 7);
}

async fn two_processes_never_activate_one_user_more(options: OpenOptions) {
    let (here, there) = two_hosts(&options, Quota::NONE).await;
    for nth in 0..9 {
        users::create(&here, &alice(), new_user(nth)).await.unwrap();
    }
    for nth in 0..3 {
        users::create(&here, &root(), named(&format!("given{nth}"))).await.unwrap();
    }
    execute(&here.db, "UPDATE users SET enabled = FALSE, activated = FALSE WHERE owner_id = 2").await;
    let quota = Quota { active_users: Some(5), ..Quota::NONE };
    quotas::set(&there, Actor::Operator, "alice", &quota).await.unwrap();
    let (alice, root) = (alice(), root());
    let enable = async |nth: usize| {
        let panel = if nth.is_multiple_of(2) { &here } else { &there };
        users::enable(panel, &alice, &format!("user{nth}")).await.is_ok()
    };
    let give = async |nth: usize| users::set_owner(&there, &root, &format!("given{nth}"), "alice").await.is_ok();
    let create = async |nth: usize| users::create(&here, &alice, new_user(nth)).await.is_ok();
    let (enabled, given, created) =
        tokio::join!(join_all((0..9).map(enable)), join_all((0..3).map(give)), join_all((20..24).map(create)));
    let made = [enabled, given, created].concat().into_iter().filter(|made| *made).count();
    let active = number(&here.db, "SELECT COUNT(*) FROM users WHERE owner_id = 2 AND enabled = TRUE").await;
    assert_eq!((made, active), (5, 5), "each place is taken once, and none is left");
}

async fn quota_that_is_set_meanwhile_counts_all_users(options: OpenOptions) {
    let (here, there) = two_hosts(&options, Quota::NONE).await;
    for round in 0..4 {
        let create = async |nth: usize| users::create(&here, &alice(), named(&format!("u{round}x{nth}"))).await.is_ok();
        let quota = Quota { users: Some(3), active_users: Some(3), ..Quota::NONE };
        let (_, set) =
            tokio::join!(join_all((0..6).map(create)), quotas::set(&there, Actor::Operator, "alice", &quota));
        let users = number(&here.db, "SELECT COUNT(*) FROM users WHERE owner_id = 2 AND removed = FALSE").await;
        assert!(if set.is_ok() { users <= 3 } else { users > 3 }, "{users} users, and the quota: {set:?}");
        quotas::set(&there, Actor::Operator, "alice", &Quota::NONE).await.unwrap();
        execute(&here.db, "UPDATE users SET removed = TRUE, username = NULL").await;
    }
}

async fn used_up_quota_is_named_by_the_diagnosis_and_reviewed_at_once(db: Db) {
    let panel = panel(db.clone()).await;
    user(&panel, "eve", "ann", json!({})).await.ok();
    let requested = "SELECT COUNT(*) FROM task_request WHERE task = 'review_admins'";
    panel.put("root", QUOTA, json!({"traffic": 100, "when_used_up": "disable"})).await.ok();
    assert_eq!(number(&db, requested).await, 0, "nobody is to be disabled or enabled");
    spend(&db, "ann", 150).await;
    let first = async || panel.get("eve", "/api/users/ann/diagnosis").await.ok()["findings"][0].clone();
    // As the task does it.
    execute(&db, "UPDATE users SET enabled = FALSE; INSERT INTO quota_disabled_user (user_id) SELECT id FROM users")
        .await;
    panel.panel.clock.advance(2_000_000);
    let finding = first().await;
    assert_eq!((&finding["code"], &finding["object"]["name"]), (&json!("owner_quota_used_up"), &json!("eve")));
    assert_eq!((&finding["details"]["used"], &finding["details"]["limit"]), (&json!(150), &json!(100)));
    panel.put("root", QUOTA, json!({"traffic": 200, "when_used_up": "disable"})).await.ok();
    assert_eq!(number(&db, requested).await, 1);
    assert_eq!(first().await["code"], "user_disabled", "until the task has enabled it");
    panel.post("root", "/api/admins/eve/quota/reset", Value::Null).await.ok();
    assert_eq!(number(&db, requested).await, 2);
}
