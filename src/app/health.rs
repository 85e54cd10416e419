//! Health of this process: the database is probed about once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::health_report::{Health, HealthReport, Part, SchedulerRole, Status};
use crate::clock::Clock;
use crate::cluster::leadership::Role;
use crate::cluster::redis_status::RedisStatus;
use crate::domain::moment::SECOND;
use crate::store::Db;
use crate::store::clock;

/// Pause between two probes of the database.
const PROBE: Duration = Duration::from_secs(1);
/// Longest time for a probe. Longer than requests wait for a connection under full load: a busy panel must not look like
/// one without a database, or its proxy would send all load to the others.
const ANSWER: Duration = Duration::from_secs(3);
/// A proxy that follows the health reports asks at least this often (microseconds).
const ASKED_WITHIN: i64 = 10 * SECOND;
/// Time in which such a proxy sees that this process is not ready: two checks, a second apart.
const NOTICE: Duration = Duration::from_secs(2);

/// Knows whether proxies follow the health reports.
#[derive(Clone, Debug)]
pub(super) struct Watchers {
    clock: Clock,
    /// Time of the last report, in microseconds since boot.
    asked: Arc<AtomicI64>,
}

impl Watchers {
    /// Longest time that [`Watchers::notice`] takes out of this grace.
    pub(super) fn longest(grace: Duration) -> Duration {
        NOTICE.min(grace / 4)
    }

    /// Waits until proxies have seen that this process is not ready, if any follow the reports. Connections that they
    /// open meanwhile are served; a connection to a closed socket would cost them a request.
    pub(super) async fn notice(&self, grace: Duration) {
        if self.clock.boot().micros() - self.asked.load(Ordering::Relaxed) < ASKED_WITHIN {
            sleep(Self::longest(grace)).await;
        }
    }
}

/// Starts to probe the database. Once `stopping` is cancelled, the reports say "unavailable", so that proxies send no
/// more requests.
pub(super) fn watch(
    db: Db,
    clock: Clock,
    role: watch::Receiver<Role>,
    redis: watch::Receiver<RedisStatus>,
    stopping: CancellationToken,
) -> (Health, Watchers) {
    let answers = Arc::new(AtomicBool::new(true));
    tokio::spawn(stopping.clone().run_until_cancelled_owned(probe(db, answers.clone())));
    let watchers = Watchers { clock, asked: Arc::new(AtomicI64::new(-ASKED_WITHIN)) };
    let seen = watchers.clone();
    let health = Health::new(move || {
        seen.asked.store(seen.clock.boot().micros(), Ordering::Relaxed);
        report(answers.load(Ordering::Relaxed), &role.borrow(), *redis.borrow(), stopping.is_cancelled())
    });
    (health, watchers)
}

async fn probe(db: Db, answers: Arc<AtomicBool>) {
    loop {
        let alive = matches!(timeout(ANSWER, clock::now(&db)).await, Ok(Ok(_)));
        if answers.swap(alive, Ordering::Relaxed) != alive {
            if alive {
                tracing::info!("the database is reachable again");
            } else {
                tracing::error!(
                    "the database does not respond; usage stays on the nodes until it does; check SQLALCHEMY_DATABASE_URL and the server"
                );
            }
        }
        sleep(PROBE).await;
    }
}

fn report(database: bool, role: &Role, redis: RedisStatus, stopping: bool) -> HealthReport {
    let status = match (stopping || !database, redis) {
        (true, _) => Status::Unavailable,
        (false, RedisStatus::Down) => Status::Degraded,
        (false, RedisStatus::Ok | RedisStatus::Off) => Status::Ok,
    };
    HealthReport {
        status,
        database: if database { Part::Ok } else { Part::Down },
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
    fn panel_is_degraded_without_redis_and_unavailable_without_database() {
        let status = |database, redis, stopping| report(database, &Role::Follower, redis, stopping).status;
        assert_eq!(status(true, RedisStatus::Off, false), Status::Ok);
        assert_eq!(status(true, RedisStatus::Down, false), Status::Degraded);
        assert_eq!(status(false, RedisStatus::Down, false), Status::Unavailable);
        assert_eq!(status(true, RedisStatus::Ok, true), Status::Unavailable);
    }
}
