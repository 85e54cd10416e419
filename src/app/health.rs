//! Health of this process: the database is probed about once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use crate::actions::copy::{LocalCopy, SharedPartState};
use crate::api::health_report::{Health, HealthReport, Part, SchedulerRole, Status};
use crate::clock::Clock;
use crate::cluster::leadership::Role;
use crate::cluster::panel_errors::LinkFault;
use crate::cluster::panel_link::PanelLink;
use crate::cluster::redis_status::RedisStatus;
use crate::cluster::self_report::SelfReport;
use crate::domain::moment::SECOND;
use crate::foundation::with_sources;

use crate::store::{Condition, Db};

/// Pause between two probes of the database.
const PROBE: Duration = Duration::from_secs(1);
/// Longest time for a probe. Longer than requests wait for a connection under full load: a busy panel must not look like
/// one without a database, or its proxy would send all load to the others.
const ANSWER: Duration = Duration::from_secs(3);
/// A proxy that follows the health reports asks at least this often (microseconds).
const ASKED_WITHIN: i64 = 10 * SECOND;
/// Time in which such a proxy sees that this process is not ready: two checks, a second apart.
const NOTICE: Duration = Duration::from_secs(2);
/// Reason of an edge whose panel is newer.
const OUTDATED: &str = "hosts and settings were written by a newer panel: update the edge";
/// Reason of an edge whose own setting is not that of the panels that its copy is from.
const OTHER_CREDENTIALS: &str = "the copy is that of panels with another AUTH_GENERATION_ALGORITHM: see the log";
/// Pause between two looks for requests in flight.
const POLL: Duration = Duration::from_millis(50);

/// Knows whether proxies follow the health reports.
#[derive(Clone, Debug)]
pub(super) struct Watchers {
    clock: Clock,
    /// Time of the last report, in microseconds since boot.
    asked: Arc<AtomicI64>,
    /// The same for proxies that let a stopping process finish its requests.
    asked_to_drain: Arc<AtomicI64>,
}

impl Watchers {
    /// Longest time that [`Watchers::notice`] takes out of this grace.
    pub(super) fn longest(grace: Duration) -> Duration {
        NOTICE.min(grace / 4)
    }

    /// Waits until proxies have seen that this process is not ready, if any follow the reports. Connections that they
    /// open meanwhile are served; a connection to a closed socket would cost them a request.
    ///
    /// A proxy that drains ends the requests in flight if it finds the socket closed. For such a one the socket stays open
    /// until there are none, or until `end`.
    pub(super) async fn notice(&self, connections: &Connections, grace: Duration, end: Instant) {
        if !self.was_lately(&self.asked) {
            return;
        }
        sleep(Self::longest(grace)).await;
        while self.was_lately(&self.asked_to_drain) && !connections.are_at_rest() && Instant::now() + POLL < end {
            sleep(POLL).await;
        }
    }

    fn was_lately(&self, asked: &AtomicI64) -> bool {
        self.clock.boot().micros() - asked.load(Ordering::Relaxed) < ASKED_WITHIN
    }
}

/// Starts to probe the database; `own` learns when it answers. Once `stopping` is cancelled, the reports say "unavailable", so that proxies send no
/// more requests.
pub(super) fn watch(
    db: Db,
    clock: Clock,
    role: watch::Receiver<Role>,
    redis: watch::Receiver<RedisStatus>,
    own: SelfReport,
    stopping: CancellationToken,
) -> (Health, Watchers) {
    tokio::spawn(stopping.clone().run_until_cancelled_owned(probe(db.clone(), own)));
    reporting(clock, stopping.clone(), move || {
        report(Database::of(&db), &role.borrow(), *redis.borrow(), stopping.is_cancelled())
    })
}

/// The health of an edge: it can work while its copy can serve, and it is degraded while the copy is not as it should be.
pub(super) fn of_edge(
    copy: LocalCopy,
    link: Arc<PanelLink>,
    clock: Clock,
    stopping: CancellationToken,
) -> (Health, Watchers) {
    reporting(clock, stopping.clone(), move || {
        let reason = edge_reason(&copy, link.fault());
        HealthReport {
            status: match reason {
                _ if stopping.is_cancelled() => Status::Unavailable,
                _ if !copy.can_serve() => Status::Unavailable,
                Some(_) => Status::Degraded,
                None => Status::Ok,
            },
            database: Part::Off,
            database_reason: None,
            copy_reason: reason,
            redis: Part::Off,
            scheduler: SchedulerRole::None,
        }
    })
}

/// The health of a panel whose start waits for the database, and why it waits.
pub(super) fn of_waiting(
    reason: watch::Receiver<Condition>,
    clock: Clock,
    stopping: CancellationToken,
) -> (Health, Watchers) {
    reporting(clock, stopping, move || HealthReport {
        status: Status::Unavailable,
        database: Part::Down,
        database_reason: Some(match *reason.borrow() {
            Condition::Unreachable => "the start waits: the database is unreachable",
            Condition::TimedOut => "the start waits: the database did not answer in time",
            Condition::ShuttingDown => "the start waits: the database is starting or stopping",
            _ => "the start waits: the database can't be used",
        }),
        copy_reason: None,
        redis: Part::Off,
        scheduler: SchedulerRole::None,
    })
}

/// Why the copy of an edge is not as it should be.
fn edge_reason(copy: &LocalCopy, fault: Option<LinkFault>) -> Option<&'static str> {
    let state = match (copy.shared_part_state(), copy.report().and_then(|report| report.age)) {
        (SharedPartState::Outdated | SharedPartState::Missing, Some(_)) => Some(OUTDATED),
        _ if copy.can_serve() => None,
        _ if !copy.has_right_credentials() => return Some(OTHER_CREDENTIALS),
        (_, None) => Some("the copy is not complete yet"),
        (_, Some(_)) => Some("the copy is older than SUBSCRIPTION_COPY_MAX_AGE_HOURS"),
    };
    let fault = match fault {
        Some(LinkFault::Following) => Some("no panel can be followed: see the log"),
        Some(LinkFault::Reporting) => Some("no panel takes reports and fetches: see the log"),
        None => None,
    };
    fault.or(state)
}

/// Reports, and remembers when they were asked for.
fn reporting(
    clock: Clock,
    stopping: CancellationToken,
    report: impl Fn() -> HealthReport + Send + Sync + 'static,
) -> (Health, Watchers) {
    let never = || Arc::new(AtomicI64::new(-ASKED_WITHIN));
    let watchers = Watchers { clock, asked: never(), asked_to_drain: never() };
    let (seen, seen_draining) = (watchers.clone(), watchers.clone());
    let health = Health::new(move || {
        seen.asked.store(seen.clock.boot().micros(), Ordering::Relaxed);
        report()
    });
    let health = health.with_draining(move || {
        seen_draining.asked_to_drain.store(seen_draining.clock.boot().micros(), Ordering::Relaxed);
        stopping.is_cancelled()
    });
    (health, watchers)
}

async fn probe(db: Db, own: SelfReport) {
    let mut before = None;
    // The database has just been opened.
    own.database_answered();
    loop {
        // The error is logged below, once per change of state.
        let answer = db.probe(ANSWER).await;
        let condition = db.condition();
        if db.answers() {
            own.database_answered();
        }
        if condition != before {
            match (condition, answer) {
                (None, _) => tracing::info!("the database can be used again"),
                (Some(condition), Err(error)) => tracing::error!(
                    error = with_sources(&error),
                    "{condition}; usage stays on the nodes until it is usable; {}",
                    condition.hint()
                ),
                (Some(condition), Ok(())) => {
                    tracing::error!("{condition}; usage stays on the nodes until it is usable; {}", condition.hint());
                }
            }
            before = condition;
        }
        sleep(PROBE).await;
    }
}

/// State of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Database {
    Usable,
    /// Reads succeed, changes fail.
    ReadOnly(Condition),
    Unusable(Condition),
}

impl Database {
    fn of(db: &Db) -> Self {
        match (db.condition(), db.answers()) {
            (None, _) => Self::Usable,
            (Some(condition), true) => Self::ReadOnly(condition),
            (Some(condition), false) => Self::Unusable(condition),
        }
    }
}

fn report(database: Database, role: &Role, redis: RedisStatus, stopping: bool) -> HealthReport {
    let status = match (database, redis) {
        _ if stopping => Status::Unavailable,
        (Database::Unusable(_), _) => Status::Unavailable,
        // Subscriptions are served. The other panels write to the same disk and could not do more.
        (Database::ReadOnly(_), _) | (_, RedisStatus::Down) => Status::Degraded,
        (Database::Usable, RedisStatus::Ok | RedisStatus::Off) => Status::Ok,
    };
    let (part, condition) = match database {
        Database::Usable => (Part::Ok, None),
        Database::ReadOnly(condition) => (Part::ReadOnly, Some(condition)),
        Database::Unusable(condition) => (Part::Down, Some(condition)),
    };
    HealthReport {
        status,
        database: part,
        database_reason: condition.map(Condition::reason),
        copy_reason: None,
        redis: match redis {
            RedisStatus::Off => Part::Off,
            RedisStatus::Ok => Part::Ok,
            RedisStatus::Down => Part::Down,
        },
        scheduler: match role {
            Role::Leader => SchedulerRole::Leader,
            Role::Follower => SchedulerRole::Follower,
            Role::None => SchedulerRole::None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panel_is_degraded_without_redis_or_changes_and_unavailable_without_database() {
        let status = |database, redis, stopping| report(database, &Role::Follower, redis, stopping).status;
        assert_eq!(status(Database::Usable, RedisStatus::Off, false), Status::Ok);
        assert_eq!(status(Database::Usable, RedisStatus::Down, false), Status::Degraded);
        assert_eq!(status(Database::ReadOnly(Condition::DiskFull), RedisStatus::Ok, false), Status::Degraded);
        assert_eq!(status(Database::Unusable(Condition::Unreachable), RedisStatus::Down, false), Status::Unavailable);
        assert_eq!(status(Database::Usable, RedisStatus::Ok, true), Status::Unavailable);
    }

    #[test]
    fn report_of_an_unusable_database_says_why() {
        for condition in Condition::ALL {
            let report = report(Database::Unusable(condition), &Role::Leader, RedisStatus::Ok, false);
            assert_eq!((report.database, report.database_reason), (Part::Down, Some(condition.reason())));
        }
    }
}
