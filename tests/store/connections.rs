//! The limits of PostgreSQL's connections, and broken connections.

use std::future::pending;
use std::time::Duration;

use futures_util::future::join_all;
use sarban::config::database_url::DatabaseUrl;
use sarban::config::secret::Secret;
use sarban::store::clock;
use sarban::store::{Db, Engine, OpenOptions, StoreError};
use sqlx::postgres::PgConnectOptions;
use sqlx::query_scalar;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::support::database::{Content, TestDatabase, number, with_database};

const MINE: &str = "SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'sarban-test-few'";

fn two_connections(options: &OpenOptions, acquire_timeout: Duration) -> OpenOptions {
    let application_name = "sarban-test-few".to_owned();
    OpenOptions { connections: 2, application_name, acquire_timeout, ..options.clone() }
}

#[test]
fn reads_and_transactions_share_the_connection_limit() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db: other, options }| {
        let db = Db::open(&two_connections(&options, Duration::from_secs(20))).await.expect("it opens");
        for _ in 0..3 {
            let work = (0..12).map(async |nth| {
                if nth % 3 == 0 {
                    let tx = db.begin().await?;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    tx.commit().await
                } else {
                    clock::now(&db).await.map(drop)
                }
            });
            let done: Result<Vec<()>, StoreError> = join_all(work).await.into_iter().collect();
            done.expect("each gets a connection");
            let there = number(&other, MINE).await;
            assert!((1..=2).contains(&there), "{there} connections");
        }
        db.close().await;
        let began = Instant::now();
        // The server takes a moment to notice that they are closed.
        while number(&other, MINE).await > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "the connections are still open");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(clock::now(&db).await.is_err(), "it is closed");
    });
}

#[test]
fn acquire_times_out_without_a_free_connection() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { options, .. }| {
        let db = Db::open(&two_connections(&options, Duration::from_millis(200))).await.expect("it opens");
        let held = (db.begin().await.expect("one"), db.begin().await.expect("two"));
        let began = Instant::now();
        assert!(clock::now(&db).await.is_err(), "both are in use");
        assert!(began.elapsed() < Duration::from_secs(2));
        held.0.commit().await.expect("it commits");
        clock::now(&db).await.expect("one is free");
        drop(held.1);
        for _ in 0..4 {
            db.begin().await.expect("both are free").rollback().await.expect("it ends");
        }
        db.close().await;
    });
}

#[test]
fn failed_statement_leaves_its_connection_usable() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { options, .. }| {
        let db = Db::open(&two_connections(&options, Duration::from_secs(20))).await.expect("it opens");
        let Db::Pg(pool) = &db else { panic!("PostgreSQL") };
        for divisor in [1_i64, 0, 2, 0, 0, 4] {
            let answer =
                query_scalar::<_, i64>("SELECT 8 / $1").bind(divisor).fetch_one(pool.for_statement("a test")).await;
            assert_eq!(answer.ok(), 8_i64.checked_div(divisor));
        }
        db.close().await;
    });
}

/// A firewall that drops its state also drops all packets without an error, and TCP retries for 15 minutes.
#[test]
fn silently_lost_connections_are_replaced() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { options, .. }| {
        let DatabaseUrl::Postgres { url } = &options.url else { panic!("a database of PostgreSQL") };
        let url = url.expose();
        let server = url.parse::<PgConnectOptions>().expect("a URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it has an address").port();
        let (lose, lost) = watch::channel(());
        tokio::spawn(forward(listener, (server.get_host().to_owned(), server.get_port()), lost));
        let url = url.replace(&format!(":{}/", server.get_port()), &format!(":{port}/"));
        let options = OpenOptions {
            url: DatabaseUrl::Postgres { url: Secret::new(url) },
            ..two_connections(&options, Duration::from_secs(2))
        };
        let db = Db::open(&options).await.expect("it opens");
        for read in join_all((0..4).map(|_| clock::now(&db))).await {
            read.expect("it reads");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        lose.send(()).expect("connections are forwarded");
        let began = Instant::now();
        while clock::now(&db).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "the lost connections are still waited for");
        }
    });
}

/// Forwards connections; those opened before a change of `lost` stay open, but nothing passes any more.
async fn forward(listener: TcpListener, server: (String, u16), lost: watch::Receiver<()>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (server, mut lost) = (server.clone(), lost.clone());
        lost.mark_unchanged();
        tokio::spawn(async move {
            let mut server = TcpStream::connect(server).await.expect("PostgreSQL listens");
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = lost.changed() => pending().await,
            }
        });
    }
}
