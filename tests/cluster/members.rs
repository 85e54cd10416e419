//! The member list in Redis, and in the database while Redis is unreachable.

use std::sync::Arc;
use std::time::Duration;

use sarban::cluster::leadership::Role;
use sarban::cluster::members::{LiveMembers, Membership, tasks_json};
use sarban::cluster::panel_redis::PanelRedis;
use sarban::cluster::redis_status::{RedisMonitor, RedisStatus};
use sarban::cluster::round_trips::RoundTrips;
use sarban::cluster::self_report::SelfReport;
use sarban::cluster::standing::Standing;
use sarban::config::database_url::DatabaseUrl;
use sarban::domain::lease::LeaseTiming;
use sarban::domain::moment::{Moment, SECOND};
use sarban::domain::schedule::{Schedule, Task};
use sarban::store::cluster::members::{self, Member};
use sarban::store::{Db, Engine};
use sqlx::{Connection as _, PgConnection, raw_sql};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cluster::redis_lock::panel_redis;
use crate::support;
use crate::support::database::{Content, number, on_both_engines, with_database};

on_both_engines!(
    members_see_each_other_in_redis_and_in_the_database,
    members_see_each_other_in_the_database_while_redis_is_unreachable,
    member_without_a_heartbeat_for_ten_seconds_is_removed,
    older_version_is_superseded_by_a_newer_one_with_more_tasks
);

struct Joined {
    members: LiveMembers,
    standing: Standing,
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
        tasks: tasks_json(&[Schedule { task: Task::Prune, period: 1_000_000 }]),
        report: String::new(),
    }
}

fn join(db: &Db, me: Member, redis: Option<PanelRedis>) -> Joined {
    let (sender, members) = watch::channel(Arc::default());
    let (standing, stop) = (Standing::default(), CancellationToken::new());
    let monitor = RedisMonitor::new(RedisStatus::Ok);
    let round_trips = RoundTrips::new(LeaseTiming::new(10 * SECOND, None).expect("a good timing"));
    let membership = Membership {
        me,
        db: db.clone(),
        redis,
        monitor,
        members: sender,
        round_trips,
        own: SelfReport::default(),
        role: watch::channel(Role::None).1,
        standing: standing.clone(),
    };
    Joined { members, standing, stop: stop.clone(), task: tokio::spawn(membership.run(stop)) }
}

impl Joined {
    /// Waits until the member list has these hosts.
    async fn sees(&mut self, hosts: &[&str]) -> Arc<Vec<Member>> {
        let as_expected =
            |list: &Arc<Vec<Member>>| list.iter().map(|member| member.host.as_str()).eq(hosts.iter().copied());
        let seen = timeout(Duration::from_secs(20), self.members.wait_for(as_expected)).await;
        seen.unwrap_or_else(|_| panic!("not {hosts:?}")).expect("it lives").clone()
    }
}

async fn members_see_each_other_in_redis_and_in_the_database(db: Db) {
    let name = format!("test-{}", Uuid::new_v4().simple());
    let redis = || Some(panel_redis(&support::redis_url(), &name));
    let mut ann = join(&db, member(1), redis());
    ann.sees(&["host-1"]).await;
    let mut ben = join(&db, member(2), redis());
    let seen = ben.sees(&["host-1", "host-2"]).await;
    assert_eq!((seen[0].cores, &seen[0].tasks), (1.5, &member(1).tasks));
    assert!(
        seen[0].last_seen > 1_700_000_000_000_000,
        "the time in Redis is not in microseconds: {}",
        seen[0].last_seen
    );
    ann.sees(&["host-1", "host-2"]).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM cluster_member").await, 2);
    ben.stop.cancel();
    ben.task.await.expect("it leaves");
    ann.sees(&["host-1"]).await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM cluster_member").await, 1);
}

async fn members_see_each_other_in_the_database_while_redis_is_unreachable(db: Db) {
    // The discard port: no server listens.
    let redis = || Some(panel_redis("redis://127.0.0.1:9", "test"));
    let mut ann = join(&db, member(1), redis());
    let _ben = join(&db, member(2), None);
    ann.sees(&["host-1", "host-2"]).await;
}

async fn member_without_a_heartbeat_for_ten_seconds_is_removed(db: Db) {
    let name = format!("test-{}", Uuid::new_v4().simple());
    let redis = || Some(panel_redis(&support::redis_url(), &name));
    let mut by_redis = join(&db, member(1), redis());
    let dead = join(&db, member(2), redis());
    by_redis.sees(&["host-1", "host-2"]).await;
    let mut by_database = join(&db, member(3), None);
    by_database.sees(&["host-1", "host-2", "host-3"]).await;
    dead.task.abort();
    by_redis.sees(&["host-1"]).await;
    by_database.sees(&["host-1", "host-3"]).await;
}

async fn older_version_is_superseded_by_a_newer_one_with_more_tasks(db: Db) {
    let mut older = join(&db, member(1), None);
    let same_tasks = join(&db, Member { version: "1.1.0".to_owned(), ..member(2) }, None);
    older.sees(&["host-1", "host-2"]).await;
    assert!(!older.standing.is_superseded(), "a newer version without new tasks supersedes");
    let tasks = member(3).tasks.replace('}', r#", "a_task_to_come": 1000000}"#);
    let newer = join(&db, Member { version: "1.1.0".to_owned(), tasks, ..member(3) }, None);
    older.sees(&["host-1", "host-2", "host-3"]).await;
    assert!(older.standing.is_superseded() && !newer.standing.is_superseded());
    newer.stop.cancel();
    newer.task.await.expect("it leaves");
    older.sees(&["host-1", "host-2"]).await;
    assert!(!older.standing.is_superseded());
    drop(same_tasks);
}

/// Members that come back after all were gone hold their own rows and delete the others'. With a wait in between, two of
/// them wait for each other.
#[test]
fn heartbeat_passes_over_a_row_that_another_member_holds() {
    with_database(Engine::Postgres, Content::Schema, async |test| {
        let later = 1_000 + 2 * members::GONE;
        for number in [1, 2] {
            let mut tx = test.db.begin().await.expect("a transaction");
            members::beat(&mut tx, &member(number), Moment::from_micros(1_000)).await.expect("a heartbeat");
            tx.commit().await.expect("committed");
        }
        let DatabaseUrl::Postgres { url } = &test.options.url else { panic!("not PostgreSQL") };
        let mut other = PgConnection::connect(url.expose()).await.expect("a connection");
        let hold = "BEGIN; SELECT 1 FROM cluster_member WHERE host = 'host-2' FOR UPDATE";
        raw_sql(hold).execute(&mut other).await.expect("the row is held");
        let mut tx = test.db.begin().await.expect("a transaction");
        let (ann, later) = (member(1), Moment::from_micros(later));
        members::beat(&mut tx, &ann, later).await.expect("a heartbeat");
        let forgetting = members::forget(&mut tx, later);
        timeout(Duration::from_secs(2), forgetting).await.expect("it waits for no row").expect("forgotten");
        tx.commit().await.expect("committed");
    });
}
