//! A batch that cannot be applied is quarantined with its reason and does not block later batches.

use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::{HOUR, Moment};
use sarban::domain::schedule::Task;
use sarban::domain::usage::UsageReply;
use sarban::store::usage::batches::{Pending, pending, stage};
use sarban::store::{Db, Engine};
use uuid::Uuid;

use crate::scheduler::task::Leader;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    damaged_batch_is_quarantined_and_not_lost,
    batch_that_the_database_refuses_is_quarantined_alone,
    hours_are_folded_a_few_minutes_later
);

const AT: Moment = Moment::from_micros(500_000 * HOUR + 1_000_000);

async fn four_nodes(db: &Db) {
    execute(
        db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (1, 'ann', 'a', 'never', 0)",
    )
    .await;
    execute(db, "INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0)").await;
    for node in 1..=4 {
        let reply = UsageReply::new(NodeId(node), AT, 1.0, [(UserId(1), 10)]);
        stage(db, Uuid::from_u128(node.unsigned_abs().into()), &reply).await.unwrap();
    }
}

async fn damaged_batch_is_quarantined_and_not_lost(db: Db) {
    four_nodes(&db).await;
    execute(
        &db,
        match db.engine() {
            Engine::Postgres => "UPDATE usage_batch SET payload = '\\x0102' WHERE node_id = 1",
            Engine::Sqlite => "UPDATE usage_batch SET payload = x'0102' WHERE node_id = 1",
        },
    )
    .await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(leader.run(Task::RecordUserUsages, AT).await.unwrap(), 3);
    assert_eq!(pending(&db).await.unwrap(), Pending { staged: 0, applied: 3, quarantined: 1 });
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic").await, 30);
    let quarantined =
        "SELECT COUNT(*) FROM usage_batch WHERE state = 'staged' AND trouble IS NOT NULL AND payload IS NOT NULL";
    assert_eq!(number(&db, quarantined).await, 1);
    leader.run(Task::Prune, AT.plus(1_000 * 24 * HOUR)).await.unwrap();
    assert_eq!(number(&db, quarantined).await, 1, "an unresolved batch was pruned");
}

async fn batch_that_the_database_refuses_is_quarantined_alone(db: Db) {
    four_nodes(&db).await;
    execute(&db, match db.engine() {
        Engine::Postgres => "ALTER TABLE node_usage_hours ADD CHECK (node_id <> 3)",
        Engine::Sqlite =>
            "CREATE TRIGGER no BEFORE INSERT ON node_usage_hours WHEN new.node_id = 3 BEGIN SELECT RAISE(ABORT, 'not 3'); END",
    })
    .await;
    let mut leader = Leader::new(&db).await;
    assert_eq!(leader.run(Task::RecordUserUsages, AT).await.unwrap(), 3);
    assert_eq!(pending(&db).await.unwrap(), Pending { staged: 0, applied: 3, quarantined: 1 });
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic").await, 30);
    assert_eq!(number(&db, "SELECT node_id FROM usage_batch WHERE trouble LIKE '%ADD_TO_NODE failed%'").await, 3);
    // The operator fixes the cause and clears the reason; then the batch is applied.
    execute(
        &db,
        if db.engine() == Engine::Postgres {
            "ALTER TABLE node_usage_hours DROP CONSTRAINT node_usage_hours_node_id_check"
        } else {
            "DROP TRIGGER no"
        },
    )
    .await;
    execute(&db, "UPDATE usage_batch SET trouble = NULL").await;
    assert_eq!(leader.run(Task::RecordUserUsages, AT).await.unwrap(), 1);
    assert_eq!(number(&db, "SELECT used_traffic FROM user_traffic").await, 40);
}

async fn hours_are_folded_a_few_minutes_later(db: Db) {
    four_nodes(&db).await;
    let mut leader = Leader::new(&db).await;
    leader.run(Task::RecordUserUsages, AT).await.unwrap();
    assert_eq!(pending(&db).await.unwrap(), Pending { staged: 0, applied: 4, quarantined: 0 });
    leader.run(Task::RecordUserUsages, AT.plus(HOUR / 20)).await.unwrap();
    assert_eq!(pending(&db).await.unwrap(), Pending { staged: 0, applied: 0, quarantined: 0 });
    let sum = "SELECT CAST(SUM(counted) AS BIGINT) FROM user_usage_hours WHERE user_id = 1 AND hour = 1800000000000000";
    assert_eq!(number(&db, sum).await, 40);
}
