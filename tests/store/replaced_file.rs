//! SQLite's file that is deleted or replaced while it is open: nothing is read from it or written to it any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sarban::config::database_url::DatabaseUrl;
use sarban::domain::moment::Moment;
use sarban::store::access::admins;
use sarban::store::{Condition, Db, Engine, OpenOptions, clock};
use tokio::time::sleep;

use crate::support::database::{Content, TestDatabase, number, with_database};

/// The file, and its name with this ending.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn faulty(fault: fn(&Path)) {
    with_database(Engine::Sqlite, Content::Schema, async |TestDatabase { db: other, options }| {
        let DatabaseUrl::Sqlite { path } = &options.url else { panic!("a database of SQLite") };
        // This process alone has the file open, as a panel does.
        other.close().await;
        let db = Db::open(&options).await.expect("it opens");
        let sibling = db.open_sibling(&options).await.expect("it opens");
        let mut tx = db.begin().await.expect("it begins");
        admins::insert(&mut tx, "ann", "", false, Moment::from_micros(1)).await.expect("it inserts");
        fault(path);
        let error = tx.commit().await.expect_err("the commit would be lost");
        assert_eq!(error.condition(), Some(Condition::Replaced), "{error:?}");
        assert!(!error.outcome_is_unknown());
        for db in [&db, &sibling] {
            let error = db.begin().await.expect_err("the transaction would be lost");
            assert_eq!(error.condition(), Some(Condition::Replaced), "{error:?}");
            let error = db.begin_first().await.expect_err("the lease as well");
            assert_eq!(error.condition(), Some(Condition::Replaced), "{error:?}");
            let error = clock::now(db).await.expect_err("it may read another file");
            assert_eq!(error.condition(), Some(Condition::Replaced), "{error:?}");
            assert_eq!(db.condition(), Some(Condition::Replaced));
        }
        sibling.close().await;
        db.close().await;
    });
}

#[test]
fn deleted_file_is_noticed_at_once() {
    faulty(|path| fs::remove_file(path).expect("it is deleted"));
}

#[test]
fn replaced_file_is_noticed_at_once() {
    faulty(|path| {
        fs::copy(path, beside(path, ".copy")).expect("it is copied");
        fs::rename(beside(path, ".copy"), path).expect("it is replaced");
    });
}

#[test]
fn deleted_log_of_changes_is_noticed_at_once() {
    faulty(|path| fs::remove_file(beside(path, "-wal")).expect("it is deleted"));
}

#[test]
fn deleted_index_of_the_log_is_noticed_at_once() {
    faulty(|path| fs::remove_file(beside(path, "-shm")).expect("it is deleted"));
}

/// It may be an older one, so that only a restart uses it.
#[test]
fn file_that_is_put_back_is_not_used_before_a_restart() {
    with_database(Engine::Sqlite, Content::Schema, async |TestDatabase { db, options }| {
        let DatabaseUrl::Sqlite { path } = &options.url else { panic!("a database of SQLite") };
        let moved = beside(path, ".moved");
        fs::rename(path, &moved).expect("it is moved");
        sleep(Duration::from_millis(300)).await;
        assert!(clock::now(&db).await.is_err(), "a read after the next look");
        fs::rename(&moved, path).expect("it is moved back");
        sleep(Duration::from_millis(300)).await;
        assert!(clock::now(&db).await.is_err() && db.begin().await.is_err());
        let restarted = Db::open(&options).await.expect("it opens");
        assert_eq!(number(&restarted, "SELECT COUNT(*) FROM admins").await, 0);
        restarted.close().await;
    });
}

/// The last connection to a file writes the log back as well, unless another one closes in the same moment: a stop of a
/// panel closes those of two threads.
#[test]
fn close_writes_a_deleted_log_of_changes_back_beside_other_connections() {
    with_database(Engine::Sqlite, Content::Schema, async |TestDatabase { db, options }| {
        let DatabaseUrl::Sqlite { path } = &options.url else { panic!("a database of SQLite") };
        let sibling = db.open_sibling(&options).await.expect("it opens");
        let mut tx = db.begin().await.expect("it begins");
        admins::insert(&mut tx, "ann", "", false, Moment::from_micros(1)).await.expect("it inserts");
        tx.commit().await.expect("it commits");
        fs::remove_file(beside(path, "-wal")).expect("it is deleted");
        db.close().await;
        let copy = beside(path, ".copy");
        fs::copy(path, &copy).expect("it is copied");
        sibling.close().await;
        let copy = OpenOptions { url: DatabaseUrl::Sqlite { path: copy }, ..options.clone() };
        let restarted = Db::open(&copy).await.expect("it opens");
        assert_eq!(number(&restarted, "SELECT COUNT(*) FROM admins").await, 1);
        restarted.close().await;
    });
}
