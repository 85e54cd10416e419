//! Paused processes: with all workers blocked the process keeps its lease; with a stuck loop it releases the lease; and
//! a process, or only its lease thread, that was paused for longer than the lease commits nothing after it wakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use sarban::actions::changes::Changes;
use sarban::app::{Coordination, CoordinationParts};
use sarban::clock::Clock;
use sarban::cluster::identity::Identity;
use sarban::cluster::leadership::Role;
use sarban::cluster::members;
use sarban::cluster::wakeup::Wakeup;
use sarban::config::crash_point::{CrashPoint, STUCK_LOOP};
use sarban::domain::lease::LeaseTiming;
use sarban::domain::moment::SECOND;
use sarban::domain::schedule::{Schedule, Task};
use sarban::nodes::collector::Collector;
use sarban::nodes::{PanelIdentity, Supervisor, Timing, panel_certificate};
use sarban::notify::{self, Delivery};
use sarban::scheduler::tasks::Deps;
use sarban::store::cluster::members::Member;
use sarban::store::{Db, OpenOptions};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::app::panel_process::PanelProcess;
use crate::app::processes::{assert_every_slot_ran_once, leader, setup, start};
use crate::support::database::{TestDatabase, number, on_both_engines};
use crate::support::threads;

on_both_engines!(
    coordination_with_all_workers_blocked_keeps_the_lease,
    empty process_with_paused_workers_keeps_the_lease,
    empty process_with_a_stuck_loop_releases_the_lease,
    empty process_that_was_stopped_commits_nothing_when_it_wakes,
    empty process_with_a_paused_lease_thread_commits_nothing_when_it_wakes
);

const TTL: Duration = Duration::from_secs(2);
const EPOCH: &str = "SELECT epoch FROM scheduler_epoch WHERE id = 1";

async fn coordination_with_all_workers_blocked_keeps_the_lease(test: TestDatabase) {
    let spool = tempfile::tempdir().expect("a folder");
    let mut coordination = coordinate(&test, spool.path()).await;
    let leads = coordination.role.wait_for(|role| *role == Role::Leader);
    timeout(Duration::from_secs(5), leads).await.expect("it leads").expect("it lives");
    // On SQLite a writer whose worker is blocked keeps the write lock: wait until no writer is active.
    while number(&test.db, "SELECT COUNT(*) FROM task_run WHERE state = 'done'").await == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_millis(500)).await;
    coordination.role.mark_unchanged();
    // More blocking tasks than workers, so that each worker is always blocked.
    let blocked: Vec<_> = (0..6).map(|_| tokio::spawn(async { std::thread::sleep(TTL.mul_f64(2.2)) })).collect();
    // This thread is not a worker. Timers of the runtime do not run, so the thread itself sleeps.
    std::thread::sleep(TTL.mul_f64(2.2));
    assert!(!coordination.role.has_changed().expect("it lives"), "the role changed");
    for one in blocked {
        one.await.expect("no panic");
    }
    assert_eq!(
        number(&test.db, "SELECT epoch FROM scheduler_epoch WHERE id = 1").await,
        1,
        "there was more than one term"
    );
    coordination.drain();
    coordination.join().await;
}

async fn coordinate(test: &TestDatabase, spool: &std::path::Path) -> Coordination {
    let (db, clock, wakeup) = (test.db.clone(), Clock::real(), Wakeup::default());
    let material = panel_certificate::obtain(&db, clock.now()).await.expect("a certificate");
    let certificate = PanelIdentity::from_pem(&material.certificate, &material.key).expect("a good one");
    let supervisor = Supervisor::new(clock.clone(), certificate, watch::channel(()).1, 7, Timing::default());
    let identity = Identity::new("ann".to_owned());
    let crash = CrashPoint::default();
    let collector = Collector::new(db.clone(), clock.clone(), supervisor.clone(), spool, identity.instance, crash);
    let schedules = vec![Schedule { task: Task::Prune, period: 3_600 * SECOND }];
    let parts = CoordinationParts {
        me: Member {
            instance: identity.instance,
            host: identity.host.clone(),
            pid: 1,
            worker_threads: 2,
            cores: 2.0,
            version: identity.version.clone(),
            started_at: clock.now().micros(),
            last_seen: 0,
            tasks: members::tasks_json(&schedules),
            report: String::new(),
        },
        identity,
        timing: LeaseTiming::new(2 * SECOND, None).expect("a good timing"),
        schedules,
        lease_database: OpenOptions { connections: 3, ..test.options.clone() },
        redis: None,
        wakeup: wakeup.clone(),
        supervisor,
        delivery: Delivery::new(
            clock.clone(),
            watch::channel(()).1,
            notify::Timing::default(),
            None,
            watch::channel(None).1,
        ),
        deps: Arc::new(Deps {
            db,
            clock,
            changes: Changes::default(),
            collector: collector.expect("a spool"),
            targets: Default::default(),
            node_hours: true,
            usage_percent: 80,
            days_left: 3,
            crash,
            hourly_retention: None,
            audit_retention: None,
            back_up: None,
        }),
    };
    Coordination::start(parts).expect("it starts")
}

async fn process_with_paused_workers_keeps_the_lease(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let panels = start(&setup, &test).await;
    let (_, first, paused) = pause_leader(&test.db, &panels, Paused::Workers).await;
    paused.await.expect("no panic").expect("the workers were held");
    assert_eq!(number(&test.db, EPOCH).await, first, "no process took over");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(number(&test.db, EPOCH).await, first, "a process took over later");
}

async fn process_with_a_stuck_loop_releases_the_lease(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut stuck = setup.start_with("ann", &[("SARBAN_CRASH_AT", STUCK_LOOP)]);
    stuck.ready().await;
    leader(&test.db, std::slice::from_ref(&stuck)).await;
    let mut healthy = setup.start("ben");
    healthy.ready().await;
    let limit = Instant::now() + Duration::from_secs(30);
    let done = "SELECT COUNT(*) FROM task_run WHERE state = 'done' AND instance = (SELECT holder FROM scheduler_lease
                WHERE host = 'ben')";
    while number(&test.db, done).await < 3 {
        assert!(Instant::now() < limit, "the other process runs no tasks");
        sleep(Duration::from_millis(50)).await;
    }
    let log = stuck.log();
    assert!(log.contains("the scheduler's loop is stuck; releasing the lease"), "{log}");
    assert_eq!(stuck.health().await.expect("it serves")["status"], "ok", "the stuck process does not serve");
}

async fn process_that_was_stopped_commits_nothing_when_it_wakes(test: TestDatabase) {
    commits_nothing_when_it_wakes(test, Paused::Process).await;
}

async fn process_with_a_paused_lease_thread_commits_nothing_when_it_wakes(test: TestDatabase) {
    commits_nothing_when_it_wakes(test, Paused::Lease).await;
}

async fn commits_nothing_when_it_wakes(test: TestDatabase, part: Paused) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut panels = start(&setup, &test).await;
    let (leading, first, paused) = pause_leader(&test.db, &panels, part).await;
    let limit = Instant::now() + TTL.mul_f64(2.2) + Duration::from_secs(5);
    while number(&test.db, EPOCH).await == first {
        assert!(Instant::now() < limit, "no process took over");
        sleep(Duration::from_millis(50)).await;
    }
    let written = format!("SELECT COUNT(*) FROM task_run WHERE epoch = {first} AND state <> 'abandoned'").leak();
    let finished = format!("SELECT COUNT(*) FROM task_run WHERE epoch = {first} AND state = 'done'").leak();
    let before = (number(&test.db, written).await, number(&test.db, finished).await);
    paused.await.expect("no panic").expect("it was paused");
    panels[leading].ready().await;
    sleep(Duration::from_secs(2)).await;
    let after = (number(&test.db, written).await, number(&test.db, finished).await);
    assert!(after.0 <= before.0 && after.1 == before.1, "{before:?} became {after:?}");
    assert_every_slot_ran_once(&test.db).await;
}

/// The part of a process that is paused.
#[derive(Clone, Copy)]
enum Paused {
    Process,
    Workers,
    Lease,
}

/// Pauses the leader, or a part of it, for 2.2 TTL from now on. Returns the index of the leader, its epoch, and a
/// handle that ends with the pause.
async fn pause_leader(db: &Db, panels: &[PanelProcess], part: Paused) -> (usize, i64, JoinHandle<anyhow::Result<()>>) {
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        let (leading, epoch) = (leader(db, panels).await, number(db, EPOCH).await);
        let (id, time) = (panels[leading].id(), TTL.mul_f64(2.2));
        let called_off = Arc::new(AtomicBool::new(false));
        let (stopped, has_stopped) = oneshot::channel();
        let wait = {
            let called_off = called_off.clone();
            move || {
                const STEP: Duration = Duration::from_millis(20);
                // The receiver is gone when the test has failed meanwhile.
                let _ = stopped.send(());
                let mut left = time;
                while !left.is_zero() && !called_off.load(Ordering::Relaxed) {
                    std::thread::sleep(STEP);
                    left = left.saturating_sub(STEP);
                }
            }
        };
        let paused = tokio::task::spawn_blocking(move || match part {
            Paused::Process => {
                let id = Pid::from_raw(id.cast_signed()).context("a process")?;
                kill_process(id, Signal::STOP)?;
                // Each thread stops at the end of its current system call.
                waitid(WaitId::Pid(id), WaitIdOptions::STOPPED)?;
                wait();
                Ok(kill_process(id, Signal::CONT)?)
            }
            Paused::Workers => threads::hold(id, threads::WORKERS, wait),
            Paused::Lease => threads::hold(id, threads::LEASE, wait),
        });
        // An error is reported by the task itself.
        let _ = has_stopped.await;
        if is_writable(db).await && number(db, EPOCH).await == epoch {
            return (leading, epoch, paused);
        }
        // End the pause at once, since no process runs the slots of a paused leader.
        called_off.store(true, Ordering::Relaxed);
        paused.await.expect("no panic").expect("it was paused");
        sleep(Duration::from_millis(100)).await;
        assert!(Instant::now() < limit, "each attempt paused the leader during a write");
    }
}

/// Returns `false` while a paused process holds the write lock of SQLite. No other process can take over then, until
/// the paused one wakes or is killed.
async fn is_writable(db: &Db) -> bool {
    match timeout(Duration::from_millis(500), db.begin()).await {
        Ok(Ok(tx)) => tx.rollback().await.is_ok(),
        _ => false,
    }
}
