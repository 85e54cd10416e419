//! How the panel is: a probe of the database each second, and where this process stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::health::{Health, HealthReport, Part, Place, Status};
use crate::cluster::gate::RedisState;
use crate::cluster::leadership::Standing;
use crate::store::{Db, clock};

/// The database is asked this often, and has as long to answer.
const PROBE: Duration = Duration::from_secs(1);

/// Starts probing, and makes what the API asks. `stopping`: say "unavailable", so that no more requests are sent.
pub(super) fn watch(
    db: Db,
    standing: watch::Receiver<Standing>,
    redis: watch::Receiver<RedisState>,
    stopping: CancellationToken,
) -> Health {
    let answers = Arc::new(AtomicBool::new(true));
    tokio::spawn(stopping.clone().run_until_cancelled_owned(probe(db, answers.clone())));
    Health::new(move || {
        report(answers.load(Ordering::Relaxed), &standing.borrow(), *redis.borrow(), stopping.is_cancelled())
    })
}

async fn probe(db: Db, answers: Arc<AtomicBool>) {
    loop {
        let alive = matches!(timeout(PROBE, clock::now(&db)).await, Ok(Ok(_)));
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

fn report(database: bool, standing: &Standing, redis: RedisState, stopping: bool) -> HealthReport {
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
        scheduler: match standing {
            Standing::Leader => Place::Leader,
            Standing::Follower => Place::Follower,
            Standing::None => Place::None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_redis_the_panel_is_degraded_and_without_the_database_it_is_unavailable() {
        let status = |database, redis, stopping| report(database, &Standing::Follower, redis, stopping).status;
        assert_eq!(status(true, RedisState::Off, false), Status::Ok);
        assert_eq!(status(true, RedisState::Down, false), Status::Degraded);
        assert_eq!(status(false, RedisState::Down, false), Status::Unavailable);
        assert_eq!(status(true, RedisState::Ok, true), Status::Unavailable);
    }
}
