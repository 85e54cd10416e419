//! The lease on both engines against a model: for any order of events, the database and the model agree.

use std::cell::RefCell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use sarban::clock::Clock;
use sarban::domain::ids::Epoch;
use sarban::store::cluster::lease;
use sarban::store::cluster::lease_connection::LeaseDb;
use sarban::store::{Db, FenceError};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::cluster::fence::fence;
use crate::cluster::lease::{candidate, lease_db};
use crate::support::database::{TestDatabase, execute, on_both_engines};

on_both_engines!(lease_agrees_with_its_model);

/// One event. `late`: the actor does not know the newest epoch yet.
#[derive(Clone, Copy, Debug)]
enum Event {
    Claim {
        who: u128,
        late: bool,
    },
    Renew {
        who: u128,
        late: bool,
    },
    Release {
        who: u128,
        late: bool,
    },
    Commit {
        late: bool,
    },
    Expires,
    /// The clock is set back: the lease seems to end far in the future.
    ClockBack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lease {
    Free,
    Live,
    Expired,
    FromTheFuture,
}

#[derive(Clone, Copy, Debug)]
struct Model {
    epoch: i64,
    holder: Option<u128>,
    lease: Lease,
    /// `true` when the last event had an effect.
    done: bool,
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Event;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self { epoch: 0, holder: None, lease: Lease::Free, done: true }).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Event> {
        let late = || prop::bool::weighted(0.2);
        prop_oneof![
            4 => (1..4_u128, late()).prop_map(|(who, late)| Event::Claim { who, late }),
            4 => (1..4_u128, late()).prop_map(|(who, late)| Event::Renew { who, late }),
            2 => (1..4_u128, late()).prop_map(|(who, late)| Event::Release { who, late }),
            3 => late().prop_map(|late| Event::Commit { late }),
            2 => Just(Event::Expires),
            1 => Just(Event::ClockBack),
        ]
        .boxed()
    }

    fn apply(mut state: Self, event: &Event) -> Self {
        state.done = match *event {
            Event::Claim { who, late } => {
                let won = !late && state.lease != Lease::Live;
                if won {
                    (state.epoch, state.holder, state.lease) = (state.epoch + 1, Some(who), Lease::Live);
                }
                won
            }
            Event::Renew { who, late } => {
                let held = !late && state.holder == Some(who);
                // A lease that seems to end far in the future belongs to its holder until another candidate claims it.
                let renewed = held && matches!(state.lease, Lease::Live | Lease::FromTheFuture);
                if renewed {
                    state.lease = Lease::Live;
                }
                renewed
            }
            Event::Release { who, late } => {
                let released = !late && state.holder == Some(who);
                if released {
                    state.lease = Lease::Free;
                }
                released
            }
            // Only the epoch decides.
            Event::Commit { late } => !late,
            Event::Expires => {
                if state.lease != Lease::Free {
                    state.lease = Lease::Expired;
                }
                true
            }
            Event::ClockBack => {
                if state.lease != Lease::Free {
                    state.lease = Lease::FromTheFuture;
                }
                true
            }
        };
        state
    }
}

thread_local! {
    /// The database of the test that runs on this thread.
    static DATABASE: RefCell<Option<(Handle, TestDatabase)>> = const { RefCell::new(None) };
}

/// The database as tests and as the lease use it.
type System = (Handle, Db, Arc<Mutex<LeaseDb>>);

struct Suite;

impl StateMachineTest for Suite {
    type SystemUnderTest = System;
    type Reference = Model;

    fn init_test(_: &Model) -> System {
        let (handle, test) = DATABASE.with_borrow(|database| database.clone()).expect("the test has a database");
        let (db, lease_db) = (test.db.clone(), Arc::new(Mutex::new(lease_db(&test))));
        handle.block_on(async {
            execute(&db, "UPDATE scheduler_epoch SET epoch = 0").await;
            execute(&db, "UPDATE scheduler_lease SET epoch = 0, holder = NULL, lease_until = 0, released = TRUE").await;
        });
        (handle, db, lease_db)
    }

    fn apply((handle, db, lease_db): System, model: &Model, event: Event) -> System {
        let clock = Clock::real();
        // A claim that was won has raised the epoch in the model already.
        let won = i64::from(matches!(event, Event::Claim { .. }) && model.done);
        let seen = |late: bool| Epoch(model.epoch - won - i64::from(late));
        let done = handle.block_on(async {
            let mut lease_db = lease_db.lock().await;
            match event {
                Event::Claim { who, late } => {
                    lease::claim(&mut lease_db, &clock, &candidate(&db, who), seen(late)).await.unwrap()
                }
                Event::Renew { who, late } => {
                    lease::renew(&mut lease_db, &clock, &candidate(&db, who), seen(late)).await.unwrap()
                }
                Event::Release { who, late } => {
                    lease::release(&mut lease_db, &candidate(&db, who), seen(late)).await.unwrap()
                }
                Event::Commit { late } => {
                    let tx = fence(&db, seen(late)).begin().await.expect("the term does not know the newer epoch");
                    match tx.commit().await {
                        Ok(()) => true,
                        Err(FenceError::Deposed) => false,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                Event::Expires => {
                    execute(&db, "UPDATE scheduler_lease SET lease_until = 0").await;
                    true
                }
                Event::ClockBack => {
                    execute(&db, "UPDATE scheduler_lease SET lease_until = 9000000000000000").await;
                    true
                }
            }
        });
        assert_eq!(done, model.done, "{event:?}");
        (handle, db, lease_db)
    }

    fn check_invariants((handle, db, _): &System, model: &Model) {
        let boot_id = candidate(db, 0).boot_id;
        let seen = handle.block_on(lease::current(db, &Clock::real(), &boot_id)).expect("the lease is read");
        assert_eq!((seen.epoch.0, seen.fence_epoch.0), (model.epoch, model.epoch));
        assert_eq!(seen.holder, model.holder.map(Uuid::from_u128));
        assert_eq!(seen.remaining > 0, model.lease == Lease::Live, "{model:?} and {seen:?}");
    }
}

async fn lease_agrees_with_its_model(test: TestDatabase) {
    let handle = Handle::current();
    let run = move || {
        DATABASE.with_borrow_mut(|database| *database = Some((handle, test)));
        let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new(config.clone());
        let result = runner.run(&Model::sequential_strategy(1..30), |(model, events, seen)| {
            Suite::test_sequential(config.clone(), model, events, seen);
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    };
    tokio::task::spawn_blocking(run).await.expect("the lease agrees with its model");
}
