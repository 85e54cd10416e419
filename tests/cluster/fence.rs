//! The fence: a transaction of an old epoch does not commit.

use std::time::Duration;

use sarban::clock::Clock;
use sarban::domain::ids::Epoch;
use sarban::domain::moment::BootTime;
use sarban::domain::term::Term;
use sarban::store::cluster::lease;
use sarban::store::cluster::runs;
use sarban::store::{Db, Fence, FenceError};

use super::lease::{candidate, lease_db};
use crate::support::database::{TestDatabase, execute, number, on_both_engines};

on_both_engines!(
    deposed_leader_commits_nothing,
    current_leader_commits,
    ended_term_begins_no_transaction,
    claim_waits_for_a_transaction_that_passed_the_fence
);

/// Returns a fence for a live term with this epoch.
pub fn fence(db: &Db, epoch: Epoch) -> Fence {
    let clock = Clock::real();
    let deadline = BootTime::from_micros(clock.boot().micros() + 60_000_000);
    Fence::new(db.clone(), clock, Term::new(epoch, deadline), Duration::from_secs(2), "sarban-task-test".to_owned())
}

async fn write(tx: &mut sarban::store::Tx) {
    let schedule =
        sarban::domain::schedule::Schedule { task: sarban::domain::schedule::Task::Prune, period: 1_000_000 };
    runs::set_task(tx, schedule, Clock::real().now()).await.expect("a write");
}

async fn deposed_leader_commits_nothing(db: Db) {
    let fence = fence(&db, Epoch(0));
    let mut tx = fence.begin().await.expect("the term is alive");
    if db.engine() == sarban::store::Engine::Postgres {
        // On SQLite no candidate can claim while this transaction is open.
        write(&mut tx).await;
        execute(&db, "UPDATE scheduler_epoch SET epoch = 1").await;
    } else {
        tx.rollback().await.expect("rolled back");
        execute(&db, "UPDATE scheduler_epoch SET epoch = 1").await;
        tx = fence.begin().await.expect("the term has not noticed yet");
        write(&mut tx).await;
    }
    assert!(matches!(tx.commit().await, Err(FenceError::Deposed)));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM task").await, 0);
    assert!(fence.term().has_ended(), "the term of the process has not ended");
    assert_eq!(fence.term().open_work(), 0);
}

async fn current_leader_commits(db: Db) {
    let fence = fence(&db, Epoch(0));
    let mut tx = fence.begin().await.expect("the term is alive");
    write(&mut tx).await;
    tx.commit().await.expect("committed");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM task").await, 1);
}

async fn ended_term_begins_no_transaction(db: Db) {
    let fence = fence(&db, Epoch(0));
    fence.term().end();
    assert!(matches!(fence.begin().await, Err(FenceError::Deposed)));
}

/// Between the check of the fence and the commit, a claim of another candidate waits. It succeeds after the commit.
async fn claim_waits_for_a_transaction_that_passed_the_fence(test: TestDatabase) {
    let (db, mut lease_db) = (test.db.clone(), lease_db(&test));
    let fence = fence(&db, Epoch(0));
    let mut tx = fence.begin().await.expect("the term is alive");
    write(&mut tx).await;
    let sarban::store::Tx::Pg(held) = &mut *tx else {
        tx.rollback().await.expect("rolled back");
        return;
    };
    sqlx::query("SELECT 1 FROM scheduler_epoch FOR SHARE")
        .execute(&mut *held)
        .await
        .expect("the lock that the fence takes");
    let me = candidate(&db, 1);
    let clock = Clock::real();
    let claim = lease::claim(&mut lease_db, &clock, &me, Epoch(0));
    let blocked = tokio::time::timeout(Duration::from_millis(300), claim).await;
    assert!(blocked.is_err(), "the claim did not wait for the epoch row");
    tx.commit().await.expect("committed under its own epoch");
    let claimed = async {
        // The server may complete the claim that nobody waits for any more.
        while lease::current(&db, &clock, "").await.expect("the lease").holder != Some(me.instance) {
            let _ = lease::claim(&mut lease_db, &clock, &me, Epoch(0)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), claimed).await.expect("the lease can be claimed after the commit");
}
