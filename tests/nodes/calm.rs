//! Many nodes, flapping nodes and silent nodes cause no storm of connections or writes.

use std::time::Duration;

use sarban::store::{Db, Engine};

use crate::nodes::panel::{
    Panel, add_node, add_users, brisk, eventually, give, healthy, in_step, marks, number, sql, unhealthy,
};
use crate::support::database::on_both_engines;
use crate::support::test_node::{Event, Options, TestNode};

on_both_engines!(
    flapping_node_is_written_a_few_times,
    new_leader_sends_full_lists_to_many_nodes,
    silent_node_delays_no_other,
);

/// Counts writes of nodes' status and message.
async fn count_writes(db: &Db) {
    let trigger = match db.engine() {
        Engine::Sqlite => {
            "CREATE TABLE health_writes (n INTEGER);
             CREATE TRIGGER count_writes AFTER UPDATE OF status, message ON nodes
             BEGIN INSERT INTO health_writes VALUES (1); END"
        }
        Engine::Postgres => {
            "CREATE TABLE health_writes (n INTEGER);
             CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN INSERT INTO health_writes VALUES (1); RETURN NULL; END';
             CREATE TRIGGER count_writes AFTER UPDATE OF status, message ON nodes
             FOR EACH ROW EXECUTE FUNCTION count_write()"
        }
    };
    sql(db, trigger).await;
}

const SYNCED: &str = "SELECT synced_at FROM nodes";

async fn writes(db: &Db) -> i64 {
    number(db, "SELECT COUNT(*) FROM health_writes").await
}

async fn flapping_node_is_written_a_few_times(db: Db) {
    let node = TestNode::start(Options::default()).await.unwrap();
    add_node(&db, 1, node.address(), "grpcio").await;
    count_writes(&db).await;
    let timing = sarban::nodes::Timing { steady: Duration::from_secs(3), ..brisk() };
    let _panel = Panel::lead_with(&db, timing).await;
    healthy(&db, 1).await;
    for _ in 0..10 {
        let before = number(&db, SYNCED).await;
        node.drop_connections();
        eventually("the node is in step again", async || number(&db, SYNCED).await > before).await;
    }
    unhealthy(&db, 1, "keeps breaking").await;
    assert!(writes(&db).await <= 10, "{} writes", writes(&db).await);
    healthy(&db, 1).await;
    let settled = writes(&db).await;
    assert!(settled <= 11, "{settled} writes");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(writes(&db).await, settled, "nothing is written while nothing changes");
}

async fn new_leader_sends_full_lists_to_many_nodes(db: Db) {
    let mut nodes = Vec::new();
    for id in 1..=30 {
        let node = TestNode::start(Options::default()).await.unwrap();
        add_node(&db, id, node.address(), "grpcio").await;
        nodes.push(node);
    }
    add_users(&db, 50).await;
    let all = "SELECT COUNT(*) FROM nodes WHERE status = 'healthy'";
    let first = Panel::lead(&db).await;
    eventually("all nodes are healthy", async || number(&db, all).await == 30).await;
    give(&db, "vless", 50).await;
    eventually("all nodes have all users", async || nodes.iter().all(|node| node.users().len() == 50)).await;
    eventually("no mark is left", async || marks(&db).await == 0).await;
    first.step_down().await;
    let _second = Panel::lead(&db).await;
    eventually("each node gets its list", async || {
        nodes.iter().all(|node| node.events().contains(&Event::Repopulated { users: 50 }))
    })
    .await;
    assert!(nodes.iter().all(|node| node.users().len() == 50));
}

async fn silent_node_delays_no_other(db: Db) {
    let (silent, other) =
        (TestNode::start(Options::default()).await.unwrap(), TestNode::start(Options::default()).await);
    let other = other.unwrap();
    silent.hold(Duration::from_secs(3_600));
    add_node(&db, 2, silent.address(), "grpcio").await;
    let panel = in_step(&db, &other, 3).await;
    assert_eq!(panel.supervisor.connected().len(), 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE id = 2 AND status = 'unhealthy'").await, 1);
    panel.step_down().await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM nodes WHERE dirty").await, 0, "the silent node was sent nothing");
}
