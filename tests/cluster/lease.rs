//! The lease row: which candidate may claim, renew and release it, decided by the database.

use std::time::Duration;

use futures_util::future::join_all;
use sarban::clock::Clock;
use sarban::domain::ids::Epoch;
use sarban::store::cluster::lease;
use sarban::store::cluster::lease::Candidate;
use sarban::store::cluster::lease_connection::LeaseDb;
use sarban::store::{Db, Engine};
use uuid::Uuid;

use crate::support::database::{TestDatabase, execute, on_both_engines};

const TTL: i64 = 10_000_000;

on_both_engines!(
    one_of_many_candidates_wins,
    live_lease_cannot_be_claimed_and_a_released_one_can,
    expired_lease_can_be_claimed_and_not_renewed,
    lease_from_before_a_clock_set_back_can_be_claimed,
    long_lease_of_another_is_not_mistaken_for_a_clock_set_back,
    lease_row_that_disagrees_is_repaired_from_the_fence
);

pub fn candidate(db: &Db, number: u128) -> Candidate {
    Candidate {
        instance: Uuid::from_u128(number),
        host: format!("host-{number}"),
        version: "1".to_owned(),
        ttl: TTL,
        boot_id: if db.engine() == Engine::Sqlite { "this boot".to_owned() } else { String::new() },
    }
}

pub fn lease_db(test: &TestDatabase) -> LeaseDb {
    LeaseDb::new(&test.db, &test.options, Duration::from_secs(10)).expect("an address")
}

async fn current(db: &Db) -> lease::Lease {
    lease::current(db, &Clock::real(), &candidate(db, 0).boot_id).await.expect("the lease is read")
}

async fn one_of_many_candidates_wins(test: TestDatabase) {
    let db = test.db.clone();
    let clock = Clock::real();
    let claims = join_all((1..=8).map(|number| {
        let (mut lease_db, clock, me) = (lease_db(&test), clock.clone(), candidate(&db, number));
        async move { lease::claim(&mut lease_db, &clock, &me, Epoch(0)).await.is_ok_and(|won| won) }
    }))
    .await;
    assert_eq!(claims.iter().filter(|won| **won).count(), 1, "{claims:?}");
    let lease = current(&db).await;
    assert_eq!((lease.epoch, lease.fence_epoch), (Epoch(1), Epoch(1)));
    let winner = claims.iter().position(|won| *won).expect("one won") as u128 + 1;
    assert_eq!(lease.holder, Some(Uuid::from_u128(winner)));
    assert!(lease.remaining > TTL / 2 && lease.remaining <= TTL, "{}", lease.remaining);
}

async fn live_lease_cannot_be_claimed_and_a_released_one_can(test: TestDatabase) {
    let (db, mut lease_db) = (test.db.clone(), lease_db(&test));
    let clock = Clock::real();
    let (ann, ben) = (candidate(&db, 1), candidate(&db, 2));
    assert!(lease::claim(&mut lease_db, &clock, &ann, Epoch(0)).await.unwrap());
    assert!(!lease::claim(&mut lease_db, &clock, &ben, Epoch(1)).await.unwrap(), "a live lease was claimed");
    assert!(
        !lease::claim(&mut lease_db, &clock, &ben, Epoch(0)).await.unwrap(),
        "a live lease was claimed under a past epoch"
    );
    assert!(lease::renew(&mut lease_db, &clock, &ann, Epoch(1)).await.unwrap());
    assert!(!lease::renew(&mut lease_db, &clock, &ben, Epoch(1)).await.unwrap(), "Ben renewed the lease of Ann");
    assert!(!lease::release(&mut lease_db, &ben, Epoch(1)).await.unwrap(), "Ben released the lease of Ann");
    assert!(lease::release(&mut lease_db, &ann, Epoch(1)).await.unwrap());
    assert!(!lease::renew(&mut lease_db, &clock, &ann, Epoch(1)).await.unwrap(), "a released lease was renewed");
    assert!(lease::claim(&mut lease_db, &clock, &ben, Epoch(1)).await.unwrap());
    assert_eq!(current(&db).await.epoch, Epoch(2));
}

async fn expired_lease_can_be_claimed_and_not_renewed(test: TestDatabase) {
    let (db, mut lease_db) = (test.db.clone(), lease_db(&test));
    let clock = Clock::real();
    let (ann, ben) = (candidate(&db, 1), candidate(&db, 2));
    assert!(lease::claim(&mut lease_db, &clock, &ann, Epoch(0)).await.unwrap());
    execute(&db, "UPDATE scheduler_lease SET lease_until = lease_until - 10000000").await;
    assert!(!lease::renew(&mut lease_db, &clock, &ann, Epoch(1)).await.unwrap());
    assert!(lease::claim(&mut lease_db, &clock, &ben, Epoch(1)).await.unwrap());
}

async fn lease_from_before_a_clock_set_back_can_be_claimed(test: TestDatabase) {
    let (db, mut lease_db) = (test.db.clone(), lease_db(&test));
    let clock = Clock::real();
    assert!(lease::claim(&mut lease_db, &clock, &candidate(&db, 1), Epoch(0)).await.unwrap());
    execute(&db, "UPDATE scheduler_lease SET lease_until = lease_until + 3600000000").await;
    assert_eq!(current(&db).await.remaining, 0);
    assert!(lease::claim(&mut lease_db, &clock, &candidate(&db, 2), Epoch(1)).await.unwrap());
}

async fn long_lease_of_another_is_not_mistaken_for_a_clock_set_back(test: TestDatabase) {
    let (db, mut lease_db) = (test.db.clone(), lease_db(&test));
    let clock = Clock::real();
    let with_long_ttl = Candidate { ttl: 60 * TTL, ..candidate(&db, 1) };
    assert!(lease::claim(&mut lease_db, &clock, &with_long_ttl, Epoch(0)).await.unwrap());
    assert!(!lease::claim(&mut lease_db, &clock, &candidate(&db, 2), Epoch(1)).await.unwrap());
}

async fn lease_row_that_disagrees_is_repaired_from_the_fence(test: TestDatabase) {
    let (db, mut lease_db) = (test.db.clone(), lease_db(&test));
    let clock = Clock::real();
    let ann = candidate(&db, 1);
    assert!(lease::claim(&mut lease_db, &clock, &ann, Epoch(0)).await.unwrap());
    execute(&db, "UPDATE scheduler_epoch SET epoch = 7").await;
    assert!(
        !lease::repair(&mut lease_db, &clock, &ann, Epoch(1)).await.unwrap(),
        "the rows were repaired under a live lease"
    );
    assert!(lease::release(&mut lease_db, &ann, Epoch(1)).await.unwrap());
    assert!(lease::repair(&mut lease_db, &clock, &ann, Epoch(1)).await.unwrap());
    let lease = current(&db).await;
    assert_eq!((lease.epoch, lease.fence_epoch, lease.remaining), (Epoch(7), Epoch(7), 0));
    assert!(lease::claim(&mut lease_db, &clock, &ann, Epoch(7)).await.unwrap());
}
