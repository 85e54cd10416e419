//! Latency of a user's change to all nodes, and cost of a new leader with many nodes: `cargo bench --bench nodes`.
//!
//! Runs on SQLite and PostgreSQL. No wake-up is sent: the poll finds each change, as on a second host without Redis.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a benchmark that can't go on ends")]

mod light_node;
#[expect(dead_code, reason = "the benchmark uses a part of it")]
#[path = "../../tests/nodes/panel.rs"]
mod panel;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::time::Duration;

use light_node::NodeEvent;
use panel::{Panel, change, number, sql};
use sarban::nodes::Timing;
use sarban::store::{Db, Engine};
use support::database::{Content, with_database};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

/// Number of changes, and the time between them.
const CHANGES: i64 = 500;
const INTERVAL: Duration = Duration::from_millis(40);

fn main() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        with_database(engine, Content::Schema, async |test| latency(&test.db, 100, 100_000).await);
        with_database(engine, Content::Schema, async |test| storm(&test.db, 1_000, 2_000).await);
    }
}

async fn latency(db: &Db, nodes: usize, users: i64) {
    println!("{:?}, {nodes} nodes, {users} users on each:", db.engine());
    let (mut events, panel) = fleet(db, nodes, users).await;
    sleep(Duration::from_secs(2)).await;
    while events.try_recv().is_ok() {}
    let mut committed = HashMap::new();
    for user in 1..=CHANGES {
        change(db, &format!("UPDATE users SET enabled = FALSE WHERE id = {user}"), [user]).await;
        committed.insert(u32::try_from(user).unwrap(), Instant::now());
        sleep(INTERVAL).await;
    }
    let mut received: HashMap<u32, (usize, Instant)> = HashMap::new();
    while received.len() < committed.len() || received.values().any(|(count, _)| *count < nodes) {
        let next = timeout(Duration::from_secs(30), events.recv()).await.expect("no change is lost");
        if let Some(NodeEvent::Changed(user, at)) = next {
            let (count, last) = received.entry(user).or_insert((0, at));
            *count += 1;
            *last = (*last).max(at);
        }
    }
    let mut took: Vec<Duration> = received.iter().map(|(user, (_, last))| *last - committed[user]).collect();
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "    from commit to the last node: p50 {:.0?}, p90 {:.0?}, p99 {:.0?}, most {:.0?}",
        at(50),
        at(90),
        at(99),
        at(100)
    );
    panel.step_down().await;
}

async fn storm(db: &Db, nodes: usize, users: i64) {
    println!("{:?}, {nodes} nodes, {users} users on each:", db.engine());
    let (_events, panel) = fleet(db, nodes, users).await;
    panel.step_down().await;
}

/// Starts nodes with all users and a leader. Prints the cost of the second leader, which sends each node a full list.
async fn fleet(db: &Db, nodes: usize, users: i64) -> (UnboundedReceiver<NodeEvent>, Panel) {
    let (sender, mut events) = unbounded_channel();
    seed(db, users).await;
    sql(db, "DELETE FROM nodes").await;
    for id in 1..=nodes {
        let address = light_node::start(sender.clone()).await;
        panel::add_node(db, i64::try_from(id).unwrap(), address, "grpcio").await;
    }
    let first = Panel::lead_with(db, Timing::default()).await;
    all_healthy(db, nodes).await;
    sql(db, "INSERT INTO inbounds_services SELECT id, 1 FROM inbounds").await;
    first.step_down().await;
    sql(db, "UPDATE nodes SET status = 'unhealthy'").await;
    while events.try_recv().is_ok() {}

    reset_peak();
    let began = Instant::now();
    let second = Panel::lead_with(db, Timing::default()).await;
    all_healthy(db, nodes).await;
    let took = began.elapsed();
    let (mut connected, mut populated) = (Vec::new(), 0);
    while let Ok(event) = events.try_recv() {
        match event {
            NodeEvent::Connected(at) => connected.push(at),
            NodeEvent::Populated => populated += 1,
            NodeEvent::Changed(..) => {}
        }
    }
    connected.sort();
    let second_after =
        |from: &Instant| connected.iter().filter(|at| (*from..*from + Duration::from_secs(1)).contains(*at)).count();
    let busiest = connected.iter().map(second_after).max().unwrap_or(0);
    println!(
        "    all healthy under a new leader in {took:.1?}: {populated} lists, {busiest} connections in the busiest second, peak memory {} MB (the nodes' own included)",
        peak_mb()
    );
    (events, second)
}

async fn all_healthy(db: &Db, nodes: usize) {
    let all = i64::try_from(nodes).unwrap();
    let limit = Instant::now() + Duration::from_secs(600);
    while number(db, "SELECT COUNT(*) FROM nodes WHERE status = 'healthy'").await < all {
        assert!(Instant::now() < limit, "not all nodes became healthy");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn seed(db: &Db, users: i64) {
    let rows = format!(
        "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {users})
         INSERT INTO users (id, username, key, expire_strategy, created_at)
         SELECT id, 'user' || id, '0123456789abcdef01234567' || (10000000 + id), 'never', 0 FROM n;
         INSERT INTO services (id, name) VALUES (1, 'all');
         INSERT INTO users_services (user_id, service_id) SELECT id, 1 FROM users"
    );
    sql(db, &rows).await;
}

/// Resets the kernel's measure of this process's peak memory.
fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
}

/// Returns the peak memory of this process in MB.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") / 1_024
}
