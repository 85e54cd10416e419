//! Change events of transactions whose outcome is not known, and of those that never came to a commit.

use std::pin::pin;

use futures_util::poll;
use sarban::actions::users;
use sarban::domain::change::Changed;
use sarban::store::{Db, Engine};

use super::users::{named, panel, root};
use crate::support::database::{execute, on_both_engines};

on_both_engines!(failed_commit_publishes_every_kind_of_change, request_dropped_before_its_commit_publishes_nothing);

async fn failed_commit_publishes_every_kind_of_change(db: Db) {
    let panel = panel(&db).await;
    // A foreign key that is checked by COMMIT, and fails for every new user.
    execute(&db, "CREATE TABLE checked (id BIGINT REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)").await;
    let trigger = match db.engine() {
        Engine::Postgres => {
            "CREATE FUNCTION break_commit() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN INSERT INTO checked VALUES (-1); RETURN NULL; END';
             CREATE TRIGGER break_commit AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION break_commit()"
        }
        Engine::Sqlite => {
            "CREATE TRIGGER break_commit AFTER INSERT ON users BEGIN INSERT INTO checked VALUES (-1); END"
        }
    };
    execute(&db, trigger).await;
    let before = Changed::ALL.map(|kind| panel.changes.counts(&[kind]).local);
    users::create(&panel, &root(), named("ann")).await.expect_err("the commit fails");
    let after = Changed::ALL.map(|kind| panel.changes.counts(&[kind]).local);
    assert_eq!(after, before.map(|count| count + 1));
}

async fn request_dropped_before_its_commit_publishes_nothing(db: Db) {
    let panel = panel(&db).await;
    let before = panel.changes.counts(&Changed::ALL);
    let root = root();
    {
        let mut create = pin!(users::create(&panel, &root, named("ann")));
        assert!(poll!(&mut create).is_pending(), "one poll does not reach the commit");
    }
    assert_eq!(panel.changes.counts(&Changed::ALL), before);
}
