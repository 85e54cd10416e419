//! Traffic over time: of a user, a node, all users and a subscription.

use reqwest::Method;
use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::{Moment, SECOND};
use sarban::domain::usage::UsageReply;
use sarban::store::Db;
use sarban::store::usage::totals::{self, ApplyOptions};
use sarban::store::usage::{batches, hours};
use serde_json::json;
use uuid::Uuid;

use crate::api::panel::{TestPanel, send};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(
    user_traffic_is_returned_by_node_and_hour,
    traffic_of_a_node_and_of_all_users_is_returned_by_hour,
    admin_sees_the_traffic_of_its_own_users_also_removed_ones,
    subscription_traffic_is_by_hour_or_by_day_for_long_ranges,
    time_range_has_defaults_and_is_validated,
    applied_traffic_is_shown_at_once_and_once_whether_folded_or_not,
);

/// 2026-11-23T15:00:00, in unix seconds.
const THREE: i64 = 1_795_446_000;
const HOUR: i64 = 3_600;
const SPAN: &str = "start=2026-11-23T15:00:00&end=2026-11-23T17:00:00Z";
const KEY: &str = "00000000000000000000000000000001";

/// Starts a panel with ann (of alice) and bob (of root), with traffic on the nodes 1 and 2, and on deleted nodes.
async fn start(db: &Db) -> TestPanel {
    let panel = TestPanel::start(db.clone()).await;
    panel.insert_admin("alice", false).await;
    let user = |name: &str, key: &str| json!({"username": name, "expire_strategy": "never", "key": key});
    panel.post("alice", "/api/users", user("ann", KEY)).await.ok();
    panel.post("root", "/api/users", user("bob", "bob-2")).await.ok();
    execute(
        db,
        "INSERT INTO nodes (id, name, address, port, connection_backend, status, created_at)
             VALUES (2, 'de', 'a', 1, 'grpclib', 'unhealthy', 0);
         INSERT INTO user_usage_hours (user_id, hour, node_id, counted) VALUES
             (1, 1795446000000000, 1, 100), (1, 1795446000000000, 2, 20), (1, 1795449600000000, 1, 3),
             (1, 1795449600000000, 88, 1000), (1, 1795453200000000, 99, 4000), (1, 1795186800000000, 1, 7),
             (2, 1795449600000000, 1, 50000);
         INSERT INTO node_usage_hours (node_id, hour, uplink, downlink, counted) VALUES
             (1, 1795446000000000, 0, 50, 100), (2, 1795446000000000, 0, 10, 20), (1, 1795449600000000, 0, 1, 50003),
             (88, 1795449600000000, 0, 1, 1000), (99, 1795453200000000, 0, 1, 4000), (1, 1795186800000000, 0, 1, 7)",
    )
    .await;
    panel
}

async fn user_traffic_is_returned_by_node_and_hour(db: Db) {
    let panel = start(&db).await;
    let expected = json!({
        "username": "ann", "total": 5123,
        "node_usages": [
            {"node_id": 1, "node_name": "local", "usages": [[THREE, 100], [THREE + HOUR, 3], [THREE + 2 * HOUR, 0]]},
            {"node_id": 2, "node_name": "de", "usages": [[THREE, 20], [THREE + HOUR, 0], [THREE + 2 * HOUR, 0]]},
            {"node_id": null, "node_name": "deleted nodes",
             "usages": [[THREE, 0], [THREE + HOUR, 1000], [THREE + 2 * HOUR, 4000]]},
        ],
    });
    let path = format!("/api/users/ann/usage?{SPAN}");
    assert_eq!(panel.get("root", &path).await.ok(), expected);
    assert_eq!(panel.get("alice", &path).await.ok(), expected);
    let nothing = panel.get("root", "/api/users/bob/usage?start=2026-11-23T20:00:00").await.ok();
    assert_eq!(nothing, json!({"username": "bob", "node_usages": [], "total": 0}));
    panel.get("alice", "/api/users/bob/usage").await.refused(403);
    panel.get("root", "/api/users/zed/usage").await.refused(404);
    send(panel.request(Method::GET, "/api/users/ann/usage")).await.refused(401);
}

async fn traffic_of_a_node_and_of_all_users_is_returned_by_hour(db: Db) {
    let panel = start(&db).await;
    let node = panel.get("root", &format!("/api/nodes/1/usage?{SPAN}")).await.ok();
    let points = json!([[THREE, 100], [THREE + HOUR, 50003], [THREE + 2 * HOUR, 0]]);
    assert_eq!(node, json!({"step": 3600, "total": 50103, "usages": points}));
    let all = panel.get("root", &format!("/api/system/stats/traffic?{SPAN}")).await.ok();
    let points = json!([[THREE, 120], [THREE + HOUR, 51003], [THREE + 2 * HOUR, 4000]]);
    assert_eq!(all, json!({"step": 3600, "total": 55123, "usages": points}));
    // The offset is converted. The first point is the full hour before the start, but without its traffic.
    let path = "/api/system/stats/traffic?start=2026-11-23T15:30:00&end=2026-11-23T20:15:00%2B03:30";
    let cut = panel.get("root", path).await.ok();
    assert_eq!(cut["usages"], json!([[THREE, 0], [THREE + HOUR, 51003]]));
    panel.get("root", "/api/nodes/88/usage").await.refused(404);
    panel.get("alice", "/api/nodes/1/usage").await.refused(403);
}

async fn admin_sees_the_traffic_of_its_own_users_also_removed_ones(db: Db) {
    let panel = start(&db).await;
    let path = format!("/api/system/stats/traffic?{SPAN}");
    let points = json!([[THREE, 120], [THREE + HOUR, 1003], [THREE + 2 * HOUR, 4000]]);
    assert_eq!(panel.get("alice", &path).await.ok()["usages"], points);
    let of = |owner: &str| format!("{path}&owner_username={owner}");
    assert_eq!(panel.get("root", &of("alice")).await.ok()["usages"], points, "of one admin, for a sudo admin");
    panel.get("root", &of("nobody")).await.refused(404);
    panel.get("alice", &of("root")).await.refused(403);
    panel.delete("alice", "/api/users/ann").await.ok();
    assert_eq!(panel.get("alice", &path).await.ok()["usages"], points, "removed users count");
}

async fn subscription_traffic_is_by_hour_or_by_day_for_long_ranges(db: Db) {
    let panel = start(&db).await;
    let fetch = |query: &str| send(panel.request(Method::GET, &format!("/sub/ann/{KEY}/usage?{query}")));
    let hours = fetch(SPAN).await.ok();
    let points = json!([[THREE, 120], [THREE + HOUR, 1003], [THREE + 2 * HOUR, 4000]]);
    assert_eq!(hours, json!({"step": 3600, "total": 5123, "usages": points}));
    let days = fetch("start=2026-11-20T15:00:00&end=2026-11-23T15:00:01").await.ok();
    let midnight = THREE - 15 * HOUR;
    let day = 24 * HOUR;
    let points = json!([[midnight - 3 * day, 7], [midnight - 2 * day, 0], [midnight - day, 0], [midnight, 120]]);
    assert_eq!(days, json!({"step": 86400, "total": 127, "usages": points}));
    send(panel.request(Method::GET, "/sub/ann/00000000000000000000000000000002/usage")).await.refused(404);
    send(panel.request(Method::GET, "/sub/zed/00000000000000000000000000000001/usage")).await.refused(404);
}

async fn time_range_has_defaults_and_is_validated(db: Db) {
    let panel = start(&db).await;
    let get = async |query: &str| panel.get("root", &format!("/api/system/stats/traffic?{query}")).await;
    let default = get("").await.ok();
    // 30 days and the current hour: the clock is at 20:36:25.
    assert_eq!(default["usages"].as_array().map(Vec::len), Some(721));
    assert_eq!(default["usages"][720][0], THREE + 5 * HOUR);
    assert_eq!(default["total"], 55130);
    assert_eq!(get("start=&end=").await.ok(), default);
    assert_eq!(get("start_date=2026-11-23&end_date=2026-11-23").await.ok(), default, "unknown parameters are ignored");
    let day = get("start=2026-11-23&end=2026-11-23T20:00:00").await.ok();
    assert_eq!(day["usages"].as_array().map(Vec::len), Some(21));
    let reversed = get("start=2026-11-23T20:00:00&end=2026-11-23T15:00:00").await.ok();
    assert_eq!(reversed, json!({"step": 3600, "total": 0, "usages": []}));
    get("start=xyz&end=").await.wrong_fields(&["start"]);
    get("start=xyz&end=9e99").await.wrong_fields(&["end", "start"]);
    get("start=0001-01-01&end=9999-12-31").await.wrong_fields(&["start"]);
}

/// Stages and applies what a node reported at a moment of the panel's day.
async fn apply(db: &Db, node: i64, at: i64, entries: &[(i64, u64)]) {
    let entries = entries.iter().map(|(user, bytes)| (UserId(*user), *bytes));
    let at = Moment::from_micros(at * SECOND);
    let reply = UsageReply::new(NodeId(node), at, 2.0, entries);
    assert!(batches::stage(db, Uuid::new_v4(), &reply).await.expect("staged"));
    let due = batches::oldest_staged(db).await.expect("read");
    let options = ApplyOptions { node_hours: true, notify_percent: None };
    db.transaction("test", async |tx| totals::apply(tx, &due.batches, options, at).await).await.expect("applied");
}

async fn applied_traffic_is_shown_at_once_and_once_whether_folded_or_not(db: Db) {
    let panel = start(&db).await;
    let unrecorded = TestPanel::beside(&panel, &[("DISABLE_RECORDING_NODE_USAGE", "true")]).await;
    let span = "start=2026-11-23T15:00:00&end=2026-11-23T16:59:59";
    // At 15:10 on two nodes, at 16:59:59 on a deleted one, and at 17:00, which is beyond the end.
    apply(&db, 1, THREE + 600, &[(1, 500), (2, 7)]).await;
    apply(&db, 2, THREE + 600, &[(1, 40)]).await;
    apply(&db, 99, THREE + 2 * HOUR - 1, &[(1, 3), (2, 0)]).await;
    apply(&db, 1, THREE + 2 * HOUR, &[(1, 1_000_000)]).await;
    for folded in [false, true] {
        let user = panel.get("root", &format!("/api/users/ann/usage?{span}")).await.ok();
        let nodes = json!([
            {"node_id": 1, "node_name": "local", "usages": [[THREE, 1_100], [THREE + HOUR, 3]]},
            {"node_id": 2, "node_name": "de", "usages": [[THREE, 100], [THREE + HOUR, 0]]},
            {"node_id": null, "node_name": "deleted nodes", "usages": [[THREE, 0], [THREE + HOUR, 1_006]]},
        ]);
        assert_eq!((&user["node_usages"], &user["total"]), (&nodes, &json!(2_209)), "folded: {folded}");
        let all = json!([[THREE, 1_200], [THREE + HOUR, 1_009]]);
        let fetched = send(panel.request(Method::GET, &format!("/sub/ann/{KEY}/usage?{span}"))).await.ok();
        if folded {
            assert_eq!(fetched["usages"], all);
        }
        let chart = panel.get("alice", &format!("/api/system/stats/traffic?{span}")).await.ok();
        assert_eq!(chart["usages"], all, "folded: {folded}");
        let bob = panel.get("root", &format!("/api/users/bob/usage?{span}")).await.ok();
        assert_eq!(bob["total"], 50_014, "folded: {folded}");
        if !folded {
            // It would vanish when it is folded.
            let user = unrecorded.get("root", &format!("/api/users/ann/usage?{span}")).await.ok();
            assert_eq!(user["total"], 1_123);
        }
        loop {
            let due = batches::oldest_applied(&db, Moment::MAX).await.expect("read");
            if due.batches.is_empty() {
                break;
            }
            db.transaction("test", async |tx| hours::fold(tx, &due.batches, true, Moment::MAX).await)
                .await
                .expect("folded");
        }
    }
}
