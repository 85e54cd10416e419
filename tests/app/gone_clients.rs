//! Changes whose clients have gone: one that waits for a lock, or for a connection, is not made later.

use std::time::Duration;

use sarban::store::{Db, Engine, Tx};
use tokio::time::{Instant, sleep};

use crate::app::clients::{Clients, answer};
use crate::app::processes::{first_admin, setup};
use crate::support::database::{TestDatabase, number, on_both_engines};

on_both_engines!(change_whose_client_has_gone_is_not_made_later);

/// Changes at once: more than the panel has connections.
const CHANGES: usize = 6;

async fn change_whose_client_has_gone_is_not_made_later(test: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let setup = setup(&test, folder.path());
    let mut panel = setup
        .start_with("ann", &[("SQLALCHEMY_CONNECTION_POOL_SIZE", "2"), ("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", "0")]);
    panel.ready().await;
    let clients = Clients::new(first_admin(&setup, &panel).await);
    clients.create_user(&panel, "locked").await;

    let lock = lock_user(&test.db).await;
    let waiting: Vec<_> =
        (0..CHANGES).map(|_| tokio::spawn(answer(clients.change(&panel, "locked", "older")))).collect();
    sleep(Duration::from_millis(700)).await;
    for client in waiting {
        assert!(!client.is_finished(), "it waits");
        client.abort();
    }
    // Time to notice that they have gone; shorter than the limit of a statement that waits.
    sleep(Duration::from_secs(2)).await;
    lock.rollback().await.expect("the lock is released");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(number(&test.db, OLDER).await, 0, "a change was made after its client had gone");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(answer(clients.change(&panel, "locked", "newer")).await.is_success());
    assert_eq!(clients.note(&panel, "locked").await, "newer");
}

const OLDER: &str = "SELECT COUNT(*) FROM users WHERE note = 'older'";

/// Begins a transaction for which changes of the user wait.
async fn lock_user(db: &Db) -> Tx {
    let mut tx = db.begin().await.expect("a transaction");
    if let Tx::Pg(inside) = &mut tx {
        let lock = sqlx::raw_sql("SELECT 1 FROM users WHERE username = 'locked' FOR UPDATE");
        lock.execute(inside.connection().expect("it is open")).await.expect("the lock");
    } else {
        assert_eq!(db.engine(), Engine::Sqlite);
    }
    tx
}
