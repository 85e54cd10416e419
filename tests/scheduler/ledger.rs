//! The ledger: each slot is run once. A slot is run again only after a failure or a crash, three times at most.

use sarban::domain::ids::Epoch;
use sarban::domain::moment::{Moment, SECOND};
use sarban::domain::schedule::{Schedule, Task};
use sarban::store::Db;
use sarban::store::cluster::runs;
use sarban::store::cluster::runs::{Outcome, Run, Trigger};
use uuid::Uuid;

use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    slot_is_started_once,
    failed_slot_is_tried_three_times,
    slot_of_a_crashed_process_is_started_under_a_newer_epoch,
    missed_slots_get_a_row_and_existing_rows_stay,
    changed_period_starts_at_the_current_time,
    newest_slot_of_a_long_period_keeps_its_row
);

const NOW: Moment = Moment::from_micros(1_700_000_000 * SECOND);
const ME: Uuid = Uuid::from_u128(1);

const fn run(slot: i64) -> Run {
    Run { task: Task::ReviewUsers, slot: Moment::from_micros(slot), trigger: Trigger::Schedule }
}

async fn start(db: &Db, slot: i64, epoch: i64) -> Option<i64> {
    let mut tx = db.begin().await.unwrap();
    let attempt = runs::start(&mut tx, run(slot), Epoch(epoch), ME, NOW).await.unwrap();
    tx.commit().await.unwrap();
    attempt
}

async fn finish(db: &Db, slot: i64, epoch: i64, outcome: Outcome) {
    let mut tx = db.begin().await.unwrap();
    runs::finish(&mut tx, run(slot), Epoch(epoch), &outcome, NOW).await.unwrap();
    tx.commit().await.unwrap();
}

async fn slot_is_started_once(db: Db) {
    assert_eq!(start(&db, 1, 1).await, Some(1));
    let mut tx = db.begin().await.unwrap();
    let later = runs::start(&mut tx, run(1), Epoch(1), ME, NOW.plus(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(later, None, "a running slot was started");
    assert_eq!(start(&db, 1, 1).await, Some(1), "the same start repeated after a lost commit");
    finish(&db, 1, 1, Outcome::Done(5)).await;
    assert_eq!(start(&db, 1, 2).await, None, "a finished slot was started");
    assert_eq!(number(&db, "SELECT items FROM task_run WHERE state = 'done'").await, 5);
}

async fn failed_slot_is_tried_three_times(db: Db) {
    for attempt in 1..=3 {
        assert_eq!(start(&db, 1, 1).await, Some(attempt));
        finish(&db, 1, 1, Outcome::Failed("no".to_owned())).await;
    }
    assert_eq!(start(&db, 1, 1).await, None);
}

async fn slot_of_a_crashed_process_is_started_under_a_newer_epoch(db: Db) {
    assert_eq!(start(&db, 1, 1).await, Some(1));
    assert_eq!(start(&db, 2, 1).await, Some(1));
    let mut tx = db.begin().await.unwrap();
    // One slot in a microsecond: at the time 2, slot 2 is the newest.
    let schedule = Schedule { task: Task::ReviewUsers, period: 1 };
    runs::set_task(&mut tx, schedule, NOW).await.unwrap();
    let now = Moment::from_micros(2);
    let abandoned = runs::abandon(&mut tx, &[Task::ReviewUsers, Task::Prune], Epoch(2), now).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(abandoned, ["review_users"], "not all slots but the newest are abandoned");
    assert_eq!(start(&db, 2, 2).await, Some(2));
    // The old process turns out to be alive: its outcome is ignored.
    finish(&db, 2, 1, Outcome::Done(99)).await;
    assert_eq!(
        number(&db, "SELECT COUNT(*) FROM task_run WHERE slot = 2 AND state = 'running' AND epoch = 2").await,
        1
    );
}

async fn missed_slots_get_a_row_and_existing_rows_stay(db: Db) {
    assert_eq!(start(&db, 20, 1).await, Some(1));
    let slots = [(10, Task::ReviewUsers), (20, Task::ReviewUsers), (30, Task::ReviewUsers), (20, Task::Prune)];
    let slots = slots.map(|(slot, task)| (task, Moment::from_micros(slot)));
    let mut tx = db.begin().await.unwrap();
    let mut entered = runs::coalesce(&mut tx, &slots, Epoch(1), ME, NOW).await.unwrap();
    tx.commit().await.unwrap();
    entered.sort_unstable();
    assert_eq!(entered, ["prune", "review_users", "review_users"]);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM task_run WHERE state = 'coalesced'").await, 3);
    assert_eq!(start(&db, 10, 1).await, None, "a coalesced slot was started");
}

async fn changed_period_starts_at_the_current_time(db: Db) {
    let enter = async |period: i64, now: i64| {
        let mut tx = db.begin().await.unwrap();
        let schedule = Schedule { task: Task::Prune, period };
        let since = runs::set_task(&mut tx, schedule, Moment::from_micros(now)).await.unwrap();
        tx.commit().await.unwrap();
        since.micros()
    };
    assert_eq!(enter(SECOND, 1).await, 1);
    assert_eq!(enter(SECOND, 2).await, 1, "the start of an unchanged period moved");
    assert_eq!(enter(2 * SECOND, 3).await, 3);
    execute(&db, "DELETE FROM task").await;
    assert_eq!(enter(2 * SECOND, 4).await, 4);
}

async fn newest_slot_of_a_long_period_keeps_its_row(db: Db) {
    let mut tx = db.begin().await.unwrap();
    runs::set_task(&mut tx, Schedule { task: Task::ReviewUsers, period: 1_000 }, NOW).await.unwrap();
    tx.commit().await.unwrap();
    for slot in [1_000, 2_000, 3_000] {
        start(&db, slot, 1).await;
        finish(&db, slot, 1, Outcome::Done(0)).await;
    }
    let mut tx = db.begin().await.unwrap();
    assert_eq!(
        runs::prune(&mut tx, Moment::from_micros(3_500), 10).await.unwrap(),
        2,
        "the slot of 3,000 has not ended"
    );
    assert_eq!(runs::prune(&mut tx, Moment::from_micros(4_000), 10).await.unwrap(), 1);
    tx.commit().await.unwrap();
}
