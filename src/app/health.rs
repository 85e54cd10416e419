//! How the panel is: a probe of the database about each second, and where this process stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::health_report::{Health, HealthReport, Part, SchedulerRole, Status};
use crate::clock::Clock;
use crate::cluster::leadership::Role;
use crate::cluster::redis_lock::RedisState;
use crate::domain::moment::SECOND;
use crate::store::Db;
use crate::store::clock;

/// Between two questions to the database.
const PROBE: Duration = Duration::from_secs(1);
/// How long it has to answer. Longer than requests wait for its connections under full load: a panel that is only busy
/// must not be taken for one without a database, or its proxy would send all of its load to the others.
const ANSWER: Duration = Duration::from_secs(3);
/// Whoever decides by these reports where to send requests has asked within this time (microseconds).
const ASKED_WITHIN: i64 = 10 * SECOND;
/// And has seen within this time that this process is not ready: two looks a second apart, as proxies do.
const NOTICE: Duration = Duration::from_secs(2);

/// Tells whether somebody sends requests here by what the reports say.
#[derive(Clone, Debug)]
pub(super) struct Watchers {
    clock: Clock,
    /// CLOCK_BOOTTIME of the last report, microseconds.
    asked: Arc<AtomicI64>,
}

impl Watchers {
    /// The longest time that [`Watchers::notification`] takes out of this grace.
    pub(super) fn longest(grace: Duration) -> Duration {
        NOTICE.min(grace / 4)
    }

    /// Waits until proxies have seen that this process is not ready, if there are any. A connection that they make
    /// meanwhile is served; one that met a closed door, or a door that just closed, would cost them a request.
    pub(super) async fn notification(&self, grace: Duration) {
        if self.clock.boot().micros() - self.asked.load(Ordering::Relaxed) < ASKED_WITHIN {
            sleep(Self::longest(grace)).await;
        }
    }
}

/// Starts probing, and makes what the API asks. `stopping`: say "unavailable", so that no more requests are sent.
pub(super) fn watch(
    db: Db,
    clock: Clock,
    role: watch::Receiver<Role>,
    redis: watch::Receiver<RedisState>,
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
                tracing::info!("the database answers again");
            } else {
                tracing::error!("the database does not answer; usage stays on the nodes until it does");
            }
        }
        sleep(PROBE).await;
    }
}

fn report(database: bool, role: &Role, redis: RedisState, stopping: bool) -> HealthReport {
    let status = match (stopping || !database, redis) {
        (true, _) => Status::Unavailable,
        (false, RedisState::Down) => Status::Degraded,
        (false, RedisState::Ok | RedisState::Off) => Status::Ok,
    };
    HealthReport {
        status,
        database: if database { Part::Ok } else { Part::Down },
        redis: match redis {
            RedisState::Off => Part::Off,
            RedisState::Ok => Part::Ok,
            RedisState::Down => Part::Down,
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
    fn without_redis_the_panel_is_degraded_and_without_the_database_it_is_unavailable() {
        let status = |database, redis, stopping| report(database, &Role::Follower, redis, stopping).status;
        assert_eq!(status(true, RedisState::Off, false), Status::Ok);
        assert_eq!(status(true, RedisState::Down, false), Status::Degraded);
        assert_eq!(status(false, RedisState::Down, false), Status::Unavailable);
        assert_eq!(status(true, RedisState::Ok, true), Status::Unavailable);
    }
}
