//! Requests to the cluster through any host: its members, a run of a task now, a hand-over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use sarban::clock::Clock;
use sarban::store::Engine;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::panel_process::PanelProcess;
use crate::app::processes::{call, first_admin, leader, setup, start};
use crate::support::database::{TestDatabase, execute, number, on_both_engines};

on_both_engines!(empty request_to_any_host_is_run_by_the_leader);

async fn request_to_any_host_is_run_by_the_leader(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let panels = start(&setup, &test).await;
    let token = first_admin(&setup, &panels[0]).await;
    let leading = leader(&test.db, &panels).await;
    let follower = &panels[(leading + 1) % panels.len()];

    let cluster =
        until(follower, &token, |it| it["members"].as_array().is_some_and(|all| all.len() == panels.len())).await;
    assert_eq!(cluster["leader"]["host"], json!(panels[leading].name));
    for member in cluster["members"].as_array().expect("members") {
        assert_eq!(member["leader"], json!(member["host"] == json!(panels[leading].name)));
        assert_eq!((&member["worker_threads"], &member["version"]), (&json!(2), &json!(env!("CARGO_PKG_VERSION"))));
    }
    let redis = if setup.redis.is_some() { ("redis", "ok") } else { ("database", "off") };
    assert_eq!((&cluster["coordination"], &cluster["redis"]), (&json!(redis.0), &json!(redis.1)));

    // A request for a task that only a later version knows waits for that version and blocks no other request.
    let id = if test.db.engine() == Engine::Postgres { "gen_random_uuid()" } else { "randomblob(16)" };
    let now = Clock::real().now().micros();
    let to_come = format!("INSERT INTO task_request (id, task, requested_at) VALUES ({id}, 'a_task_to_come', {now})");
    execute(&test.db, to_come.leak()).await;

    let announced = follow(&panels[leading], &token).await;
    // `prune` has one slot per hour, so only the request makes it run now.
    let asked = call(follower, &token, Method::POST, "/api/cluster/tasks/prune/run", Value::Null).await;
    let limit = Instant::now() + Duration::from_secs(10);
    let run = loop {
        let page = call(follower, &token, Method::GET, "/api/cluster/runs?task=prune&state=done", Value::Null).await;
        let asked = page["items"].as_array().expect("items").iter().find(|run| run["slot"] == asked["slot"]);
        if let Some(run) = asked {
            break run.clone();
        }
        assert!(Instant::now() < limit, "the task did not run: {page}");
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&run["trigger"], &run["attempts"]), (&json!("request"), &json!(1)));
    assert_eq!(run["instance"], cluster["leader"]["instance"]);
    // By the leader, which without Redis does not hear of the request itself.
    let limit = Instant::now() + Duration::from_secs(10);
    while !announced.lock().expect("a lock").contains("leader_requests") {
        assert!(Instant::now() < limit, "the end of the run was not announced: {:?}", announced.lock());
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(number(&test.db, "SELECT COUNT(*) FROM task_request WHERE task = 'prune'").await, 0);

    call(follower, &token, Method::POST, "/api/cluster/step-down", Value::Null).await;
    let before = cluster["leader"]["epoch"].as_i64().expect("a number");
    let after = until(follower, &token, |it| it["leader"]["epoch"].as_i64().is_some_and(|epoch| epoch > before)).await;
    assert_ne!(after["leader"]["instance"], cluster["leader"]["instance"], "the leader did not change");
    assert_eq!(
        number(&test.db, "SELECT COUNT(*) FROM task_request").await,
        1,
        "the request of an unknown task is gone"
    );
    assert_eq!(number(&test.db, "SELECT COUNT(*) FROM task_run WHERE task = 'a_task_to_come'").await, 0);
}

/// Collects the events of a process.
async fn follow(panel: &PanelProcess, token: &str) -> Arc<Mutex<String>> {
    let request = panel.request(Method::GET, "/api/events").bearer_auth(token).timeout(Duration::from_secs(60));
    let mut stream = request.send().await.expect("a stream of events");
    let collected = Arc::<Mutex<String>>::default();
    let events = Arc::clone(&collected);
    tokio::spawn(async move {
        while let Ok(Some(some)) = stream.chunk().await {
            events.lock().expect("a lock").push_str(&String::from_utf8_lossy(&some));
        }
    });
    collected
}

/// Fetches the cluster until it is as expected.
async fn until(panel: &PanelProcess, token: &str, expected: impl Fn(&Value) -> bool) -> Value {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        let cluster = call(panel, token, Method::GET, "/api/cluster", Value::Null).await;
        if expected(&cluster) {
            return cluster;
        }
        assert!(Instant::now() < limit, "{cluster:#}");
        sleep(Duration::from_millis(50)).await;
    }
}
