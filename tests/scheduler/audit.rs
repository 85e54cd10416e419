//! The audit log under its seals: any later change of a sealed entry is found, and a deletion of old entries is none.

use std::pin::pin;

use sarban::actions::audit::{Verification, verify};
use sarban::domain::audit::{Actor, Entry, Origin};
use sarban::domain::moment::{DAY, Moment};
use sarban::domain::schedule::Task;
use sarban::store::audit::entries;
use sarban::store::{Db, Engine};

use crate::scheduler::task::Leader;
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    entries_are_sealed_once_and_the_log_verifies,
    every_later_change_is_found,
    old_entries_are_deleted_and_the_rest_verifies,
    verification_beside_a_deletion_finds_no_fault,
    deposed_leader_seals_nothing
);

const AT: Moment = Moment::from_micros(1_700_000_000_000_000);

async fn enter(db: &Db, ids: std::ops::Range<i64>) {
    for id in ids {
        let origin = Origin::of(Actor::Command);
        let entry = Entry::of("user.create", id, format!("user{id}"));
        db.transaction("enter", async |tx| entries::insert(tx, &origin, &entry, AT).await).await.unwrap();
    }
}

async fn found(db: &Db) -> Verification {
    verify(db, &[]).await.unwrap()
}

async fn entries_are_sealed_once_and_the_log_verifies(db: Db) {
    let mut leader = Leader::new(&db).await;
    assert_eq!(found(&db).await, Verification::default(), "an empty log");
    enter(&db, 0..5).await;
    assert_eq!((found(&db).await.unsealed, found(&db).await.entries), (5, 0));
    assert_eq!(leader.run(Task::SealAudit, AT).await.unwrap(), 5);
    assert_eq!(leader.run(Task::SealAudit, AT.plus(1)).await.unwrap(), 0, "nothing is sealed twice");
    enter(&db, 5..7).await;
    assert_eq!(leader.run(Task::SealAudit, AT.plus(2)).await.unwrap(), 2);
    let log = found(&db).await;
    assert_eq!((log.fault_count, log.entries, log.seals, log.last_seal, log.unsealed), (0, 7, 2, 2, 0));
    let again = verify(&db, &[(2, log.digest.clone())]).await.unwrap();
    assert_eq!(again.fault_count, 0, "{again:?}");
    for expected in [(2, "0".repeat(64)), (3, log.digest)] {
        assert_eq!(verify(&db, std::slice::from_ref(&expected)).await.unwrap().fault_count, 1, "{expected:?}");
    }
}

async fn every_later_change_is_found(db: Db) {
    let mut leader = Leader::new(&db).await;
    enter(&db, 0..4).await;
    leader.run(Task::SealAudit, AT).await.unwrap();
    enter(&db, 4..8).await;
    leader.run(Task::SealAudit, AT).await.unwrap();
    execute(&db, "CREATE TABLE saved_entry AS SELECT * FROM audit_entry").await;
    execute(&db, "CREATE TABLE saved_seal AS SELECT * FROM audit_seal").await;
    let attacks = [
        "UPDATE audit_entry SET object_name = 'other' WHERE object_id = 1",
        "UPDATE audit_entry SET actor = 'task' WHERE object_id = 7",
        "UPDATE audit_entry SET at = at + 1 WHERE object_id = 0",
        "UPDATE audit_entry SET before_change = '{}' WHERE object_id = 3",
        "UPDATE audit_entry SET object_name = 'user2', object_id = 2, digest = (SELECT digest FROM saved_entry WHERE object_id = 2)
         WHERE object_id = 1",
        "DELETE FROM audit_entry WHERE object_id = 3",
        "DELETE FROM audit_entry WHERE object_id = 7",
        "UPDATE audit_entry SET seal = 2 WHERE object_id = 3",
        "UPDATE audit_entry SET seal = NULL WHERE object_id = 7",
        "UPDATE audit_entry SET seal = 9 WHERE object_id = 7",
        "DELETE FROM audit_seal WHERE sequence = 2",
        "DELETE FROM audit_seal WHERE sequence = 1",
        "DELETE FROM audit_entry WHERE seal = 1; DELETE FROM audit_seal WHERE sequence = 1",
        "DELETE FROM audit_entry WHERE seal = 1; DELETE FROM audit_seal WHERE sequence = 1;
         UPDATE audit_start SET sequence = 1, digest = (SELECT digest FROM saved_seal WHERE sequence = 1)",
        "INSERT INTO audit_entry (at, actor, action, objects, digest, seal) SELECT at, actor, action, objects, digest, 1 FROM saved_entry WHERE object_id = 5",
    ];
    for attack in attacks {
        assert_eq!(found(&db).await.fault_count, 0, "before {attack}");
        execute(&db, attack).await;
        let log = found(&db).await;
        assert!(log.fault_count > 0, "not found: {attack}");
        assert_eq!(log.faults.len() as u64, log.fault_count);
        execute(
            &db,
            "DELETE FROM audit_entry; DELETE FROM audit_seal; UPDATE audit_start SET sequence = 0, digest = ''",
        )
        .await;
        match db.engine() {
            Engine::Postgres => {
                execute(&db, "INSERT INTO audit_entry OVERRIDING SYSTEM VALUE SELECT * FROM saved_entry").await;
            }
            Engine::Sqlite => execute(&db, "INSERT INTO audit_entry SELECT * FROM saved_entry").await,
        }
        execute(&db, "INSERT INTO audit_seal SELECT * FROM saved_seal").await;
    }
}

async fn old_entries_are_deleted_and_the_rest_verifies(db: Db) {
    let mut leader = Leader::new(&db).await;
    for day in 0..4 {
        enter(&db, day..day + 1).await;
        leader.run(Task::SealAudit, AT.plus(day * 200 * DAY)).await.unwrap();
    }
    // Kept for 365 days: of the entries of the days 0, 200, 400 and 600 the first two go.
    leader.run(Task::Prune, AT.plus(600 * DAY)).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM audit_entry WHERE action = 'user.create'").await, 2);
    let log = found(&db).await;
    assert_eq!((log.fault_count, log.entries, log.unsealed), (0, 2, 1), "{log:?}");
    leader.run(Task::SealAudit, AT.plus(600 * DAY)).await.unwrap();
    leader.run(Task::Prune, AT.plus(780 * DAY)).await.unwrap();
    let log = found(&db).await;
    assert_eq!((log.fault_count, log.entries), (0, 2), "once more: {log:?}");
    // Somebody who deletes a part as the task does, without an entry.
    execute(
        &db,
        "DELETE FROM audit_entry WHERE seal = 4;
         UPDATE audit_start SET sequence = 4, digest = (SELECT digest FROM audit_seal WHERE sequence = 4);
         DELETE FROM audit_seal WHERE sequence = 4",
    )
    .await;
    assert_eq!(found(&db).await.fault_count, 1);
}

async fn verification_beside_a_deletion_finds_no_fault(db: Db) {
    let mut leader = Leader::new(&db).await;
    for seal in 0..45 {
        enter(&db, seal..seal + 1).await;
        leader.run(Task::SealAudit, AT.plus(seal)).await.unwrap();
    }
    let mut deletion = pin!(leader.run(Task::Prune, AT.plus(600 * DAY)));
    loop {
        tokio::select! {
            deleted = &mut deletion => {
                deleted.unwrap();
                break;
            }
            log = found(&db) => assert_eq!(log.faults, [""; 0]),
        }
    }
    assert_eq!(number(&db, "SELECT sequence FROM audit_start").await, 45);
}

async fn deposed_leader_seals_nothing(db: Db) {
    let mut leader = Leader::new(&db).await;
    enter(&db, 0..2).await;
    execute(&db, "UPDATE scheduler_epoch SET epoch = epoch + 1").await;
    assert!(leader.run(Task::SealAudit, AT).await.is_err());
    assert_eq!(found(&db).await.unsealed, 2);
}
