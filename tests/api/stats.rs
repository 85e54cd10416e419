//! `/api/system/stats`: counts of users, nodes and admins.

use reqwest::Method;
use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::Moment;
use sarban::domain::usage::UsageReply;
use sarban::store::usage::batches;
use sarban::store::usage::totals;
use sarban::store::usage::totals::ApplyOptions;
use sarban::store::users::changes;
use sarban::store::{Db, IdList};
use serde_json::json;
use uuid::Uuid;

use crate::api::panel::{START, TestPanel, send};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    users_are_online_by_their_last_traffic_until_the_first_recording,
    users_are_counted_by_state_and_owner,
    nodes_and_admins_are_counted_for_sudo_admins,
    waiting_work_is_counted_for_sudo_admins,
    traffic_of_each_node_is_summed_over_the_span
);

async fn users_are_counted_by_state_and_owner(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("alice", false).await;
    // Users of alice (2): expired and limited, disabled, on hold. Users of root (1): active, limited, removed.
    execute(
        &db,
        "INSERT INTO users (id, username, key, owner_id, enabled, removed, expire_strategy, expire_date, usage_duration, created_at)
         VALUES (1, 'both', 'k1', 2, TRUE, FALSE, 'fixed_date', 5, NULL, 0),
                (2, 'off', 'k2', 2, FALSE, FALSE, 'never', NULL, NULL, 0),
                (3, 'hold', 'k3', 2, TRUE, FALSE, 'start_on_first_use', NULL, 60, 0),
                (4, 'well', 'k4', 1, TRUE, FALSE, 'fixed_date', 9000000000000000, NULL, 0),
                (5, 'limited', 'k5', 1, TRUE, FALSE, 'never', NULL, NULL, 0),
                (6, NULL, 'k6', 1, TRUE, TRUE, 'fixed_date', 5, NULL, 0)",
    )
    .await;
    execute(
        &db,
        "INSERT INTO user_traffic (user_id, data_limit, used_traffic, created_at)
         VALUES (1, 5, 5, 0), (2, NULL, 9, 0), (3, NULL, 0, 0), (4, 5, 4, 0), (5, 5, 6, 0), (6, 5, 6, 0)",
    )
    .await;
    // The latest reply is staged but not applied.
    recorded(&db, START - 30_000_001, &[2, 3]).await;
    recorded(&db, START - 30_000_000, &[1, 4]).await;
    recorded(&db, START - 1, &[4, 6]).await;
    staged(&db, START, &[5]).await;
    assert_eq!(
        number(
            &db,
            "SELECT COUNT(*) FROM user_traffic JOIN users ON id = user_id
             WHERE removed = FALSE AND online_at >= 1795466185000000 - 30000000"
        )
        .await,
        2,
        "the same as in the rows of the users"
    );
    assert_eq!(panel.panel.clock.now().micros(), START);

    let all = json!({"total": 5, "active": 2, "on_hold": 1, "expired": 1, "limited": 2, "online": 2});
    assert_eq!(panel.get("root", "/api/system/stats/users").await.ok(), all);
    let of_alice = json!({"total": 3, "active": 1, "on_hold": 1, "expired": 1, "limited": 1, "online": 1});
    assert_eq!(panel.get("alice", "/api/system/stats/users").await.ok(), of_alice);
    send(panel.request(Method::GET, "/api/system/stats/users")).await.refused(401);
    panel.post("root", "/api/system/stats/users", json!({})).await.refused(405);
}

/// Stages a node's reply that names these users and charges them nothing.
async fn staged(db: &Db, at: i64, users: &[i64]) {
    let entries = users.iter().map(|user| (UserId(*user), 1));
    let reply = UsageReply::new(NodeId(1), Moment::from_micros(at), 0.1, entries);
    assert!(batches::stage(db, Uuid::new_v4(), &reply).await.expect("staged"));
}

/// Stages and applies such a reply, in a run that began before it.
async fn recorded(db: &Db, at: i64, users: &[i64]) {
    staged(db, at, users).await;
    let waiting = batches::oldest_staged(db).await.expect("read");
    let mut tx = db.begin().await.expect("a transaction");
    let began = Moment::from_micros(at - 5_000_000);
    totals::apply(&mut tx, &waiting.batches, ApplyOptions { node_hours: true, notify_percent: None }, began)
        .await
        .expect("applied");
    tx.commit().await.expect("a commit");
}

async fn users_are_online_by_their_last_traffic_until_the_first_recording(db: Db) {
    execute(
        &db,
        "INSERT INTO users (id, username, key, removed, expire_strategy, created_at) VALUES
             (1, 'ann', 'a', FALSE, 'never', 0), (2, 'ben', 'b', FALSE, 'never', 0), (3, NULL, 'c', TRUE, 'never', 0);
         INSERT INTO user_traffic (user_id, online_at, created_at) VALUES
             (1, 1795466180000000, 0), (2, 1795466100000000, 0), (3, 1795466180000000, 0)",
    )
    .await;
    let panel = TestPanel::start(db.clone()).await;
    assert_eq!(panel.get("root", "/api/system/stats/users").await.ok()["online"], 1);
    recorded(&db, 1_795_466_190_000_000, &[1, 2]).await;
    panel.panel.clock.advance(10_000_000);
    assert_eq!(panel.get("root", "/api/system/stats/users").await.ok()["online"], 2);
}

async fn nodes_and_admins_are_counted_for_sudo_admins(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("alice", false).await;
    execute(
        &db,
        "INSERT INTO nodes (name, address, port, connection_backend, status, created_at) VALUES
             ('a', 'a', 1, 'grpclib', 'healthy', 0), ('b', 'b', 1, 'grpclib', 'disabled', 0)",
    )
    .await;
    let nodes = panel.get("root", "/api/system/stats/nodes").await.ok();
    assert_eq!(nodes, json!({"total": 3, "healthy": 1, "unhealthy": 1}));
    assert_eq!(panel.get("root", "/api/system/stats/admins").await.ok(), json!({"total": 2}));
    panel.get("alice", "/api/system/stats/nodes").await.refused(403);
    panel.get("alice", "/api/system/stats/admins").await.refused(403);
}

async fn waiting_work_is_counted_for_sudo_admins(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("alice", false).await;
    let path = "/api/system/stats/backlog";
    panel.get("alice", path).await.refused(403);
    let nothing = json!({
        "waiting_users": 0, "waiting_users_since": null, "nodes_out_of_step": [], "waiting_usage": 0,
        "waiting_usage_since": null, "quarantined_usage": 0,
    });
    assert_eq!(panel.get("root", path).await.ok(), nothing);
    execute(
        &db,
        "UPDATE nodes SET status = 'healthy', synced_at = 1795466185000000, synced_epoch = -1;
         INSERT INTO nodes (id, name, address, port, connection_backend, status, synced_epoch, created_at)
         SELECT 7, 'in step', 'a', 1, 'grpclib', 'healthy', epoch, 0 FROM scheduler_epoch;
         INSERT INTO nodes (id, name, address, port, connection_backend, status, synced_epoch, created_at)
         VALUES (8, 'down', 'b', 1, 'grpclib', 'unhealthy', -1, 0)",
    )
    .await;
    for (user, at) in [(1, START), (2, START - 1_000_000)] {
        let mut tx = db.begin().await.expect("a transaction");
        changes::mark(&mut tx, IdList::new([user]), Moment::from_micros(at)).await.expect("marked");
        tx.commit().await.expect("a commit");
    }
    staged(&db, START - 5_000_000, &[1]).await;
    staged(&db, START, &[1]).await;
    staged(&db, START + 1, &[1]).await;
    execute(&db, "UPDATE usage_batch SET trouble = 'damaged' WHERE fetched_at = 1795466185000001").await;
    let found = panel.get("root", path).await.ok();
    assert_eq!((&found["waiting_users"], &found["waiting_usage"]), (&json!(2), &json!(2)), "{found}");
    assert_eq!(found["waiting_users_since"], "2026-11-23T20:36:24Z");
    assert_eq!(found["waiting_usage_since"], "2026-11-23T20:36:20Z");
    assert_eq!(found["quarantined_usage"], 1);
    let lacking = json!([{"node_id": 1, "node_name": "local", "synced_at": "2026-11-23T20:36:25Z"}]);
    assert_eq!(found["nodes_out_of_step"], lacking);
}

async fn traffic_of_each_node_is_summed_over_the_span(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("alice", false).await;
    execute(
        &db,
        "INSERT INTO nodes (id, name, address, port, connection_backend, created_at) VALUES (2, 'b', 'b', 1, 'grpclib', 0);
         INSERT INTO node_usage_hours (node_id, hour, counted) VALUES
             (1, 1795460400000000, 5), (1, 1795464000000000, 7), (2, 1795464000000000, 40),
             (3, 1795464000000000, 1), (4, 1795464000000000, 2), (2, 1795363200000000, 100)",
    )
    .await;
    let path = "/api/system/stats/traffic/nodes?start=2026-11-23T00:00:00Z";
    let found = panel.get("root", path).await.ok();
    let expected = json!({
        "nodes": [
            {"node_id": 2, "node_name": "b", "total": 40},
            {"node_id": 1, "node_name": "local", "total": 12},
            {"node_id": null, "node_name": "deleted nodes", "total": 3},
        ],
        "total": 55,
    });
    assert_eq!(found, expected);
    assert_eq!(panel.get("root", "/api/system/stats/traffic/nodes").await.ok()["total"], 155, "30 days");
    panel.get("alice", path).await.refused(403);
}
