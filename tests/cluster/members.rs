//! Who is there: by Redis, and by the database where Redis is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sarban::cluster::members::{Members, Seen, tasks_of};
use sarban::cluster::redis::RedisServers;
use sarban::cluster::redis_lock::{RedisState, RedisWatch};
use sarban::domain::schedule::{Schedule, Task};
use sarban::store::Db;
use sarban::store::cluster::members::Member;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::redis_lock::servers;
use crate::support;
use crate::support::database::{number, on_both_engines};

on_both_engines!(
    members_see_each_other_in_redis_and_in_the_database,
    a_redis_that_is_away_is_made_up_for_by_the_database,
    whoever_says_nothing_for_ten_seconds_is_gone,
    an_older_version_hears_of_a_newer_one_that_knows_more
);

struct Present {
    seen: Seen,
    yields: Arc<AtomicBool>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn member(number: u128) -> Member {
    Member {
        instance: Uuid::from_u128(number),
        host: format!("host-{number}"),
        pid: 1,
        worker_threads: 2,
        cores: 1.5,
        version: "1.0.0".to_owned(),
        started_at: i64::try_from(number).expect("small"),
        last_seen: 0,
        tasks: tasks_of(&[Schedule { task: Task::Prune, period: 1_000_000 }]),
    }
}

fn join(db: &Db, me: Member, redis: Option<(RedisServers, String)>) -> Present {
    let (seen, watched) = watch::channel(Arc::default());
    let (yields, stop) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let state = RedisWatch::new(RedisState::Ok);
    let members = Members { me, db: db.clone(), redis, state, seen, yields: yields.clone() };
    Present { seen: watched, yields, stop: stop.clone(), task: tokio::spawn(members.keep(stop)) }
}

impl Present {
    /// Waits until it sees these hosts.
    async fn sees(&mut self, hosts: &[&str]) -> Arc<Vec<Member>> {
        let as_expected =
            |list: &Arc<Vec<Member>>| list.iter().map(|member| member.host.as_str()).eq(hosts.iter().copied());
        let seen = timeout(Duration::from_secs(20), self.seen.wait_for(as_expected)).await;
        seen.unwrap_or_else(|_| panic!("not {hosts:?}")).expect("it lives").clone()
    }
}

async fn members_see_each_other_in_redis_and_in_the_database(db: Db) {
    let name = format!("test-{}", Uuid::new_v4().simple());
    let redis = || Some((servers(&support::redis_url()), name.clone()));
    let mut ann = join(&db, member(1), redis());
    ann.sees(&["host-1"]).await;
    let mut ben = join(&db, member(2), redis());
    let seen = ben.sees(&["host-1", "host-2"]).await;
    assert_eq!((seen[0].cores, &seen[0].tasks), (1.5, &member(1).tasks));
    assert!(seen[0].last_seen > 1_700_000_000_000_000, "in microseconds, as Redis knows it: {}", seen[0].last_seen);
    ann.sees(&["host-1", "host-2"]).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM cluster_member").await, 2);
    ben.stop.cancel();
    ben.task.await.expect("it takes leave");
    ann.sees(&["host-1"]).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM cluster_member").await, 1);
}

async fn a_redis_that_is_away_is_made_up_for_by_the_database(db: Db) {
    // The discard port: nobody listens.
    let redis = || Some((servers("redis://127.0.0.1:9"), "test".to_owned()));
    let mut ann = join(&db, member(1), redis());
    let _ben = join(&db, member(2), None);
    ann.sees(&["host-1", "host-2"]).await;
}

async fn whoever_says_nothing_for_ten_seconds_is_gone(db: Db) {
    let name = format!("test-{}", Uuid::new_v4().simple());
    let redis = || Some((servers(&support::redis_url()), name.clone()));
    let mut by_redis = join(&db, member(1), redis());
    let dead = join(&db, member(2), redis());
    by_redis.sees(&["host-1", "host-2"]).await;
    let mut by_database = join(&db, member(3), None);
    by_database.sees(&["host-1", "host-2", "host-3"]).await;
    dead.task.abort();
    by_redis.sees(&["host-1"]).await;
    by_database.sees(&["host-1", "host-3"]).await;
}

async fn an_older_version_hears_of_a_newer_one_that_knows_more(db: Db) {
    let mut older = join(&db, member(1), None);
    let same_tasks = join(&db, Member { version: "1.1.0".to_owned(), ..member(2) }, None);
    older.sees(&["host-1", "host-2"]).await;
    assert!(!older.yields.load(Ordering::Relaxed), "it knows nothing more");
    let tasks = member(3).tasks.replace('}', r#", "a_task_to_come": 1000000}"#);
    let newer = join(&db, Member { version: "1.1.0".to_owned(), tasks, ..member(3) }, None);
    older.sees(&["host-1", "host-2", "host-3"]).await;
    assert!(older.yields.load(Ordering::Relaxed) && !newer.yields.load(Ordering::Relaxed));
    newer.stop.cancel();
    newer.task.await.expect("it takes leave");
    older.sees(&["host-1", "host-2"]).await;
    assert!(!older.yields.load(Ordering::Relaxed));
    drop(same_tasks);
}
