//! A database that is cut off without a word: a firewall that drops packets, a pooler that is frozen, a host that vanished.

use std::time::Duration;

use futures_util::future::join_all;
use sarban::config::database_url::DatabaseUrl;
use sarban::config::secret::Secret;
use sarban::domain::moment::Moment;
use sarban::store::access::admins;
use sarban::store::users::owner_totals;
use sarban::store::{Condition, Db, Engine, Fault, OpenOptions, StoreError, Tx, clock};
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, sleep, timeout};

use crate::support::database::{Content, TestDatabase, execute, number, with_database};
use crate::support::proxy::{Proxy, ProxyFault};

/// Limits of the pool behind the proxy, a fifth of the panel's.
const LIMIT: Duration = Duration::from_secs(1);
/// Longest time that any call may take: the wait for a connection, then for an answer, then the rest of a busy machine.
const BOUND: Duration = Duration::from_secs(4);

/// Opens a pool of three connections through a new proxy.
async fn behind_proxy(options: &OpenOptions) -> (Proxy, Db) {
    let DatabaseUrl::Postgres { url } = &options.url else { panic!("a database of PostgreSQL") };
    let server = url.expose().parse::<PgConnectOptions>().expect("a URL").get_port();
    let proxy = Proxy::start(server).await.expect("a proxy");
    let url = url.expose().replace(&format!(":{server}/"), &format!(":{}/", proxy.port));
    let options = OpenOptions {
        url: DatabaseUrl::Postgres { url: Secret::new(url) },
        connections: 3,
        acquire_timeout: LIMIT,
        statement_timeout: LIMIT,
        ..options.clone()
    };
    (proxy, Db::open(&options).await.expect("it opens through the proxy"))
}

async fn add_admin(db: &Db, name: String) -> Result<(), StoreError> {
    db.transaction("add admin", async |tx: &mut Tx| -> Result<(), StoreError> {
        admins::insert(tx, &name, "", false, Moment::from_micros(1)).await.map(drop)
    })
    .await
}

/// Begins a transaction that keeps the table of admins locked.
async fn lock_admins(db: &Db) -> Tx {
    let mut tx = db.begin().await.expect("a transaction");
    let Tx::Pg(inside) = &mut tx else { panic!("PostgreSQL") };
    sqlx::raw_sql("LOCK TABLE admins").execute(inside.connection().expect("it is open")).await.expect("the lock");
    tx
}

const ADMINS: &str = "SELECT COUNT(*) FROM admins";

#[test]
fn statements_that_are_cut_off_fail_in_time_and_the_pool_heals() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db: direct, options }| {
        let (proxy, db) = behind_proxy(&options).await;
        let lock = lock_admins(&direct).await;
        // Three wait for the lock on all connections, the others for a connection.
        let changes: Vec<_> = (0..9)
            .map(|nth| {
                let db = db.clone();
                tokio::spawn(async move { add_admin(&db, format!("admin{nth}")).await })
            })
            .collect();
        sleep(Duration::from_millis(200)).await;
        proxy.set(ProxyFault::Hold);
        let cut = Instant::now();
        for change in changes {
            let failed = change.await.expect("no panic").expect_err("it is cut off");
            assert!(matches!(failed.fault(), Fault::Unavailable(Condition::TimedOut)), "{failed:?}");
        }
        assert!(cut.elapsed() < BOUND, "changes failed after {:?}", cut.elapsed());
        let asked = Instant::now();
        let reads = join_all((0..9).map(|_| clock::now(&db))).await;
        assert!(reads.iter().all(Result::is_err), "the database is cut off");
        assert!(asked.elapsed() < BOUND, "reads failed after {:?}", asked.elapsed());
        db.probe(LIMIT).await.expect_err("no answer");
        assert_eq!(db.condition(), Some(Condition::TimedOut));

        proxy.set(ProxyFault::Clear);
        lock.rollback().await.expect("the lock is released");
        let healed = Instant::now();
        while clock::now(&db).await.is_err() {
            assert!(healed.elapsed() < BOUND, "no answer {:?} after healing", healed.elapsed());
        }
        // Every place of the pool can be used again.
        let all = timeout(BOUND, join_all((0..3).map(|_| db.begin()))).await.expect("three connections");
        for tx in all {
            tx.expect("a connection").rollback().await.expect("it works");
        }
        db.probe(LIMIT).await.expect("it answers");
        assert_eq!(db.condition(), None);
        assert_eq!(number(&direct, ADMINS).await, 0, "a change was made after its caller was refused");
        db.close().await;
    });
}

/// The connections of before the cut stay dead: the state of a firewall is lost, or the address has moved.
#[test]
fn silence_ends_statements_that_may_take_long() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db: direct, options }| {
        let (proxy, db) = behind_proxy(&options).await;
        let lock = lock_admins(&direct).await;
        let long = db.clone();
        let work = async move |tx: &mut Tx| -> Result<(), StoreError> {
            admins::insert(tx, "long", "", false, Moment::from_micros(1)).await.map(drop)
        };
        let change = tokio::spawn(async move { long.transaction("delete admin", work).await });
        sleep(Duration::from_secs(2)).await;
        assert!(!change.is_finished(), "its limit is longer than that of other statements");
        db.probe(LIMIT).await.expect("the others go on");
        assert!(!change.is_finished(), "the database answers others");
        proxy.set(ProxyFault::Hold);
        db.probe(LIMIT).await.expect_err("no answer");
        let failed = timeout(BOUND, change).await.expect("it is abandoned").expect("no panic");
        assert!(matches!(failed.expect_err("abandoned").fault(), Fault::Unavailable(_)));
        proxy.set(ProxyFault::Clear);
        lock.rollback().await.expect("the lock is released");
        clock::now(&db).await.expect("a new connection");
        db.close().await;
    });
}

/// A firewall has forgotten the connection that was used just now; new ones work.
#[test]
fn statement_that_may_take_long_does_not_begin_on_a_connection_that_is_cut_off() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { options, .. }| {
        let (proxy, db) = behind_proxy(&options).await;
        clock::now(&db).await.expect("an answer");
        proxy.set(ProxyFault::Lost);
        sleep(Duration::from_millis(100)).await;
        proxy.set(ProxyFault::Clear);
        // The wait for a connection may end as early as the ping of the one that is cut off.
        let count = async {
            loop {
                if let Ok(count) = owner_totals::users(&db, None).await {
                    return count;
                }
            }
        };
        assert_eq!(timeout(BOUND, count).await.expect("not after its own limit of 30 s"), 0);
        db.close().await;
    });
}

/// All connections wait for the same lock, so the probe gets none; the server answers, and none of them is abandoned.
#[test]
fn long_statements_of_a_healthy_database_are_not_abandoned() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db: direct, options }| {
        let (_proxy, db) = behind_proxy(&options).await;
        let lock = lock_admins(&direct).await;
        let changes: Vec<_> = (0..3)
            .map(|nth| {
                let (db, name) = (db.clone(), format!("admin{nth}"));
                tokio::spawn(async move {
                    db.transaction("delete admin", async |tx: &mut Tx| -> Result<(), StoreError> {
                        admins::insert(tx, &name, "", false, Moment::from_micros(1)).await.map(drop)
                    })
                    .await
                })
            })
            .collect();
        sleep(Duration::from_millis(200)).await;
        db.probe(LIMIT).await.expect_err("no connection is free");
        sleep(LIMIT).await;
        assert!(changes.iter().all(|change| !change.is_finished()), "they wait for the lock");
        lock.rollback().await.expect("the lock is released");
        for change in changes {
            change.await.expect("no panic").expect("the change is made");
        }
        db.close().await;
    });
}

#[test]
fn commit_without_an_answer_is_of_unknown_outcome() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db: direct, options }| {
        let (proxy, db) = behind_proxy(&options).await;
        let mut tx = db.begin().await.expect("a transaction");
        admins::insert(&mut tx, "ann", "", false, Moment::from_micros(1)).await.expect("inserted");
        proxy.set(ProxyFault::HoldAnswers);
        let began = Instant::now();
        let unknown = tx.commit().await.expect_err("no answer");
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        assert!(unknown.outcome_is_unknown());
        assert!(matches!(unknown.fault(), Fault::Unavailable(_)));
        assert_eq!(number(&direct, ADMINS).await, 1, "this one was committed");
        let failed = add_admin(&db, "ben".to_owned()).await.expect_err("no answer");
        assert!(!failed.outcome_is_unknown(), "no commit was sent");
        proxy.set(ProxyFault::Clear);
        add_admin(&db, "cid".to_owned()).await.expect("a new connection");
        db.close().await;
    });
}

#[test]
fn change_whose_caller_gave_up_is_not_made_later() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db: direct, options }| {
        let db = Db::open(&OpenOptions { connections: 1, ..options }).await.expect("it opens");
        let lock = lock_admins(&direct).await;
        let waiting: Vec<_> = ["lock", "connection"]
            .map(|name| {
                let db = db.clone();
                tokio::spawn(async move { add_admin(&db, name.to_owned()).await })
            })
            .into();
        sleep(Duration::from_millis(200)).await;
        for caller in waiting {
            assert!(!caller.is_finished(), "it waits");
            caller.abort();
        }
        lock.rollback().await.expect("the lock is released");
        let mut tx = timeout(BOUND, db.begin()).await.expect("a connection in time").expect("a connection");
        admins::insert(&mut tx, "later", "", false, Moment::from_micros(1)).await.expect("inserted");
        tx.commit().await.expect("committed");
        sleep(Duration::from_millis(200)).await;
        assert_eq!(number(&direct, ADMINS).await, 1, "only the later change is made");
        db.close().await;
    });
}

#[test]
fn connection_whose_commit_failed_is_closed() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { options, .. }| {
        const BACKEND: &str = "SELECT CAST(pg_backend_pid() AS BIGINT)";
        let db = Db::open(&OpenOptions { connections: 1, ..options }).await.expect("it opens");
        execute(
            &db,
            "CREATE TABLE checked (id BIGINT PRIMARY KEY, other BIGINT REFERENCES checked DEFERRABLE INITIALLY DEFERRED)",
        )
        .await;
        let before = number(&db, BACKEND).await;
        assert_eq!(number(&db, BACKEND).await, before, "a connection that works is used again");
        let mut tx = db.begin().await.expect("a transaction");
        let Tx::Pg(inside) = &mut tx else { panic!("PostgreSQL") };
        sqlx::query("INSERT INTO checked VALUES (1, 2)").execute(inside).await.expect("checked later");
        let refused = tx.commit().await.expect_err("the key is checked by the commit");
        assert_eq!((refused.fault(), refused.outcome_is_unknown()), (Fault::Reference, false));
        assert_ne!(number(&db, BACKEND).await, before);
        db.close().await;
    });
}
