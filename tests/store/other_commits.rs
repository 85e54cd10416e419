//! Commits of others on SQLite are noticed by a look at the file; those of the same writer are not taken for them.

use std::time::Duration;

use sarban::clock::Clock;
use sarban::store::{Db, Engine, OtherCommits};
use tokio::time::sleep;

use crate::support::database::{Content, TestDatabase, execute, with_database};

const COMMIT: &str = "UPDATE scheduler_lease SET ttl = ttl + 1";

/// Looks until the log has been the same for long enough.
async fn settle(commits: &mut OtherCommits) {
    for _ in 0..4 {
        commits.any().await.expect("a look");
        sleep(Duration::from_millis(60)).await;
    }
    assert!(!commits.any().await.expect("a look"));
}

#[test]
fn commits_of_others_are_noticed_at_the_next_look_and_own_ones_never() {
    with_database(Engine::Sqlite, Content::Schema, async |TestDatabase { db, options }| {
        let lease = db.open_sibling(&options).await.expect("it opens");
        let elsewhere = Db::open(&options).await.expect("it opens, as in another process");
        let mut commits = lease.other_commits(&Clock::real()).expect("SQLite");
        assert!(commits.any().await.expect("a look"), "what was before is unknown");
        for other in [&db, &elsewhere] {
            settle(&mut commits).await;
            execute(other, COMMIT).await;
            assert!(commits.any().await.expect("a look"));
            // While the log changes, each is noticed too.
            for _ in 0..20 {
                execute(other, COMMIT).await;
                assert!(commits.any().await.expect("a look"));
                assert!(!commits.any().await.expect("a look"));
            }
            settle(&mut commits).await;
            for pause in [0, 150, 150, 0] {
                execute(&lease, COMMIT).await;
                assert!(!commits.any().await.expect("a look"), "its own");
                sleep(Duration::from_millis(pause)).await;
            }
            // Own ones hide no other.
            execute(other, COMMIT).await;
            execute(&lease, COMMIT).await;
            assert!(commits.any().await.expect("a look"));
        }
    });
}

#[test]
fn postgres_has_no_such_sign() {
    with_database(Engine::Postgres, Content::Schema, async |TestDatabase { db, .. }| {
        assert!(db.other_commits(&Clock::real()).is_none());
    });
}
