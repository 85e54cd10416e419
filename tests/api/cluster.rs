//! `/api/cluster`: the state of the cluster, and requests to its leader.

use std::time::Duration;

use sarban::clock::Clock;
use sarban::domain::ids::Epoch;
use sarban::store::cluster::lease;
use sarban::store::cluster::lease::Candidate;
use sarban::store::cluster::lease_connection::LeaseDb;
use sarban::store::{Db, Engine};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::panel::TestPanel;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};

on_both_engines!(
    cluster_without_a_leader_shows_own_settings,
    cluster_shows_the_leader_and_the_last_run_of_a_task,
    runs_are_listed_newest_first_and_filtered_by_task_and_state,
    requested_run_and_step_down_are_stored_for_the_leader
);

/// Finds a task in the answer of `/api/cluster`.
fn task(cluster: &Value, name: &str) -> Value {
    cluster["tasks"].as_array().expect("tasks").iter().find(|task| task["name"] == name).expect("a task").clone()
}

fn lease_db(test: &TestDatabase) -> LeaseDb {
    LeaseDb::new(&test.db, &test.options, Duration::from_secs(10)).expect("an address")
}

fn candidate(boot_id: String) -> Candidate {
    let (host, version) = ("ann".to_owned(), "1".to_owned());
    Candidate { instance: Uuid::from_u128(7), host, version, ttl: 10_000_000, boot_id }
}

async fn cluster_without_a_leader_shows_own_settings(db: Db) {
    let panel = TestPanel::start(db).await;
    let cluster = panel.get("root", "/api/cluster").await.ok();
    assert_eq!((&cluster["cluster"], &cluster["leader"]), (&json!("test"), &Value::Null));
    assert_eq!((&cluster["coordination"], &cluster["redis"]), (&json!("database"), &json!("off")));
    let review = task(&cluster, "review_users");
    assert_eq!((&review["period_seconds"], &review["enabled"]), (&json!(30.0), &json!(true)));
    assert_eq!((&review["last_slot"], &review["last_state"]), (&Value::Null, &Value::Null));
}

async fn cluster_shows_the_leader_and_the_last_run_of_a_task(test: TestDatabase) {
    let (db, mut lease_db) = (test.db.clone(), lease_db(&test));
    let panel = TestPanel::start(db.clone()).await;
    let boot_id = if db.engine() == Engine::Sqlite { boot_id() } else { String::new() };
    // On SQLite the lease's clock is the panel's own.
    let clock = if db.engine() == Engine::Sqlite { panel.panel.clock.clone() } else { Clock::real() };
    assert!(lease::claim(&mut lease_db, &clock, &candidate(boot_id), Epoch(0)).await.expect("a claim"));
    execute(&db, "INSERT INTO task (task, period, phase, changed_at) VALUES ('review_users', 60000000, 0, 0)").await;
    execute(
        &db,
        "INSERT INTO task_run (task, slot, epoch, instance, attempts, trigger, state, started_at, finished_at, lag_ms, items)
         SELECT 'review_users', 60000000, 1, holder, 1, 'schedule', 'done', 60001000, 60002000, 1, 5 FROM scheduler_lease",
    )
    .await;
    let cluster = panel.get("root", "/api/cluster").await.ok();
    let leader = &cluster["leader"];
    assert_eq!((&leader["host"], &leader["epoch"]), (&json!("ann"), &json!(1)));
    assert_eq!(leader["instance"], json!(Uuid::from_u128(7).to_string()));
    assert!(leader["lease_until"].as_str().expect("a moment").ends_with('Z'));
    let review = task(&cluster, "review_users");
    assert_eq!(review["period_seconds"], json!(60.0), "the leader's");
    assert_eq!((&review["last_slot"], &review["last_items"]), (&json!("1970-01-01T00:01:00Z"), &json!(5)));
    assert_eq!((&review["last_state"], &review["last_lag_ms"]), (&json!("done"), &json!(1)));
}

async fn runs_are_listed_newest_first_and_filtered_by_task_and_state(test: TestDatabase) {
    let (db, mut lease_db) = (test.db.clone(), lease_db(&test));
    let panel = TestPanel::start(db.clone()).await;
    assert!(lease::claim(&mut lease_db, &Clock::real(), &candidate(String::new()), Epoch(0)).await.expect("a claim"));
    execute(
        &db,
        "INSERT INTO task_run (task, slot, epoch, instance, attempts, trigger, state, started_at, lag_ms, error)
         SELECT v.column1, v.column2, 1, l.holder, 1, 'schedule', v.column3, 1, 0, NULL FROM scheduler_lease AS l,
         (VALUES ('prune', 1000000, 'done'), ('prune', 2000000, 'failed'), ('prune', 3000000, 'coalesced'),
                 ('review_users', 4000000, 'done')) AS v",
    )
    .await;
    let slots = async |query: &str| {
        let page = panel.get("root", &format!("/api/cluster/runs{query}")).await.ok();
        let items = page["items"].as_array().expect("items").clone();
        assert_eq!(page["total"], json!(items.len()));
        items.iter().map(|run| run["slot"].as_str().expect("a moment")[17..19].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(slots("").await, ["04", "03", "02", "01"]);
    assert_eq!(slots("?task=prune").await, ["03", "02", "01"]);
    assert_eq!(slots("?state=done").await, ["04", "01"]);
    assert_eq!(slots("?task=prune&state=done&state=failed").await, ["02", "01"]);
    assert_eq!(slots("?task=unheard_of").await, Vec::<String>::new());
    panel.get("root", "/api/cluster/runs?state=finished").await.wrong_fields(&["0"]);
}

async fn requested_run_and_step_down_are_stored_for_the_leader(db: Db) {
    let panel = TestPanel::start(db.clone()).await;
    let requested = panel.post("root", "/api/cluster/tasks/prune/run", Value::Null).await;
    assert_eq!((requested.status.as_u16(), &requested.body["task"]), (202, &json!("prune")));
    assert!(requested.body["slot"].as_str().expect("a moment").ends_with('Z'));
    panel.post("root", "/api/cluster/tasks/dance/run", Value::Null).await.refused(404);
    // Without BACKUP_TO no leader would serve it.
    panel.post("root", "/api/cluster/tasks/back_up/run", Value::Null).await.refused(409);
    assert_eq!(panel.get("root", "/api/cluster").await.ok()["back_up"], Value::Null);
    assert_eq!(panel.post("root", "/api/cluster/step-down", Value::Null).await.status.as_u16(), 202);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM task_request WHERE task = 'prune'").await, 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM task_request WHERE task = 'step_down'").await, 1);
}

fn boot_id() -> String {
    sarban::cluster::identity::Identity::new(String::new()).boot_id(Engine::Sqlite).to_owned()
}
