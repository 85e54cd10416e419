//! Two restores into one database at once: the second one does not replace what the first one has filled.

use std::io::{self, Cursor, Read};
use std::sync::mpsc;
use std::time::Duration;

use sarban::backup::{BackupError, Identities, Target, restore};
use sarban::store::{Db, Engine};
use tempfile::tempdir;
use tokio::time::{Instant, sleep};

use super::filled::filled_in;
use super::{back_up, restore_bytes, with_secrets};
use crate::support::database::{Content, TestDatabase, number, with_database};

const LIMIT: Duration = Duration::from_secs(60);

/// Sessions that wait for a lock.
const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A file whose second half comes later.
struct Halves {
    first: Cursor<Vec<u8>>,
    reached: Option<mpsc::Sender<()>>,
    go_on: mpsc::Receiver<()>,
    second: Cursor<Vec<u8>>,
}

impl Read for Halves {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.first.read(buffer)?;
        if read > 0 {
            return Ok(read);
        }
        if let Some(reached) = self.reached.take() {
            reached.send(()).map_err(io::Error::other)?;
            self.go_on.recv_timeout(LIMIT).map_err(io::Error::other)?;
        }
        self.second.read(buffer)
    }
}

#[test]
fn second_restore_at_the_same_time_finds_the_database_in_use() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, .. }| at_once(db).await);
}

async fn at_once(db: Db) {
    let folder = tempdir().expect("a folder");
    let source = filled_in(folder.path()).await;
    let (_, bytes) = back_up(&source, with_secrets()).await;
    source.close().await;

    let (first, second) = bytes.split_at(bytes.len() / 2);
    let ((reached, is_reached), (go, go_on)) = (mpsc::channel(), mpsc::channel());
    let [first, second] = [first, second].map(|half| Cursor::new(half.to_vec()));
    let slow = Halves { first, reached: Some(reached), go_on, second };
    let target = Target { db: db.clone(), direct: db.clone(), data_dir: folder.path().to_owned(), note: None };
    let beside = async {
        let waited = tokio::task::spawn_blocking(move || is_reached.recv_timeout(LIMIT)).await;
        waited.expect("no panic").expect("the first restore is in its middle");
        let go_on = async {
            let until = Instant::now() + LIMIT;
            while number(&db, WAITING).await == 0 {
                assert!(Instant::now() < until, "the second restore does not wait");
                sleep(Duration::from_millis(20)).await;
            }
            go.send(()).expect("it waits");
        };
        tokio::join!(restore_bytes(&db, folder.path(), &bytes), go_on).0
    };
    let (first, second) = tokio::join!(restore(&target, slow, Identities::default()), beside);
    first.map(drop).expect("the first");
    assert!(matches!(second, Err(BackupError::NotEmpty(_))), "{second:?}");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 3);
}
