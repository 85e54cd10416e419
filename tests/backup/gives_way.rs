//! A back-up ends when a migration waits for the tables that it reads, and begins none while one waits.

use std::time::Duration;

use sarban::backup::{BackupError, CreateOptions, create};
use sarban::domain::moment::Moment;
use sarban::nodes::spool::FOLDER;
use sarban::store::{Db, Engine, Tx};
use sqlx::raw_sql;
use tempfile::tempdir;
use tokio::time::{Instant, sleep};

use super::paused::{PAUSE_AT, Paused};
use crate::support::database::{Content, TestDatabase, number, with_database};

const NOW: Moment = Moment::from_micros(1_796_000_000_000_000);

/// Sessions beside the asking one that have read the table of versions in a transaction that is still open.
const READERS: &str = "SELECT COUNT(*) FROM pg_locks
    WHERE relation = to_regclass('_sqlx_migrations') AND granted AND pid <> pg_backend_pid()";

#[test]
fn back_up_gives_way_to_a_migration() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, .. }| gives_way(db).await);
}

/// Announces a migration until the transaction is dropped.
async fn migration(db: &Db) -> Tx {
    let mut tx = db.begin_bulk().await.expect("a transaction");
    let Tx::Pg(pg) = &mut tx else { panic!("this is about PostgreSQL") };
    let announce = raw_sql("SELECT pg_advisory_xact_lock(7310303452)");
    announce.execute(pg.connection().expect("a connection")).await.expect("announced");
    tx
}

async fn gives_way(db: Db) {
    let folder = tempdir().expect("a folder");
    let waiting = migration(&db).await;
    let refused = create(&db, CreateOptions::default(), Vec::new(), NOW).await.map(drop);
    assert!(matches!(refused, Err(BackupError::GaveWay)), "{refused:?}");
    waiting.rollback().await.expect("it is over");

    // In the middle, and although nobody takes what it writes: the line is slow.
    std::fs::create_dir(folder.path().join(FOLDER)).expect("a folder");
    let noise = |it: u64| it.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    let noise: Vec<u8> = (0..10 * PAUSE_AT as u64 / 8).flat_map(noise).collect();
    std::fs::write(folder.path().join(FOLDER).join("reply.log"), noise).expect("a spool file");
    let options = CreateOptions { data_dir: Some(folder.path().to_owned()), ..CreateOptions::default() };
    let (out, pause) = Paused::new();
    let given = async {
        let go = pause.reached().await;
        assert_eq!(number(&db, READERS).await, 1, "the snapshot");
        let waiting = migration(&db).await;
        let until = Instant::now() + Duration::from_secs(30);
        while number(&db, READERS).await > 0 {
            assert!(Instant::now() < until, "the back-up still has locks");
            sleep(Duration::from_millis(20)).await;
        }
        drop(go);
        waiting.rollback().await.expect("it is over");
    };
    let (made, ()) = tokio::join!(create(&db, options, out, NOW), given);
    let made = made.map(drop);
    assert!(matches!(made, Err(BackupError::GaveWay)), "{made:?}");
    create(&db, CreateOptions::default(), Vec::new(), NOW).await.map(drop).expect("a back-up");
}
