//! Concurrent lookups of users: each caller gets its user, and all get the error of a failed statement.

use std::sync::Arc;

use futures_util::future::join_all;
use sarban::actions::lookups::Lookups;
use sarban::actions::users;
use sarban::domain::change::Changed;
use sarban::domain::user::User;
use sarban::domain::user::edit::NewUser;
use sarban::store::{Condition, Db, Fault};
use tokio::time::{Duration, sleep};

use super::users::{named, panel, root};
use crate::support::database::on_both_engines;

/// Enough for two statements at once.
const REQUESTS: usize = 128;

on_both_engines! {
    concurrent_lookups_return_their_own_user,
    lookup_after_a_change_sees_it,
    all_lookups_get_the_error_of_a_closed_database,
}

async fn concurrent_lookups_return_their_own_user(db: Db) {
    let panel = panel(&db).await;
    for number in 0..150 {
        let new = NewUser { service_ids: vec![sarban::domain::ids::ServiceId(1)], ..named(&format!("user_{number}")) };
        users::create(&panel, &root(), new).await.unwrap();
    }
    let lookups = Lookups::start(&panel, REQUESTS);
    let mut names: Vec<String> = (0..150).map(|number| format!("user_{number}")).collect();
    // One twice, one in another case, one missing, and one that is no valid name.
    names.extend(["user_7", "USER_7", "nobody", "", "a\0b", "\"'\\,}]", "é\u{1f980}"].map(str::to_owned));
    let found = join_all(names.iter().map(|name| lookups.user(name))).await;
    for (name, found) in names.iter().zip(found) {
        let found = found.unwrap().map(|user| (*user).clone());
        assert_eq!(found, sarban::store::users::by_username(&db, name).await.unwrap(), "{name:?}");
        assert_eq!(found.is_some(), name.starts_with("user_"), "{name:?}");
    }
}

/// Even if statements that began before the change are running, with others queued behind them.
async fn lookup_after_a_change_sees_it(db: Db) {
    let panel = panel(&db).await;
    users::create(&panel, &root(), named("ann")).await.unwrap();
    let lookups = Arc::new(Lookups::start(&panel, REQUESTS));
    for round in 0..100 {
        let before = tokio::spawn({
            let lookups = lookups.clone();
            async move { join_all((0..200).map(|_| lookups.recent_user("ann"))).await }
        });
        let note = format!("note {round}");
        let mut tx = db.begin().await.unwrap();
        let ann = sarban::store::users::lock_by_username(&mut tx, "ann").await.unwrap().unwrap();
        let changed = User { note: Some(note.clone()), ..ann.clone() };
        sarban::store::users::update(&mut tx, &ann, &changed).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(lookups.user("ann").await.unwrap().unwrap().note.as_ref(), Some(&note));
        panel.changes.publish(Changed::Users);
        assert_eq!(lookups.recent_user("ann").await.unwrap().unwrap().note.as_ref(), Some(&note));
        assert_eq!(lookups.recent_user("ann").await.unwrap().unwrap().note, Some(note), "the user is cached");
        before.await.unwrap();
    }
}

async fn all_lookups_get_the_error_of_a_closed_database(db: Db) {
    let lookups = Lookups::start(&panel(&db).await, REQUESTS);
    db.close().await;
    // The files of SQLite are looked at again.
    sleep(Duration::from_millis(300)).await;
    for found in join_all((0..100).map(|_| lookups.user("ann"))).await {
        assert_eq!(found.unwrap_err().fault(), Fault::Unavailable(Condition::Unreachable));
    }
    assert_eq!(lookups.user("ann").await.unwrap_err().fault(), Fault::Unavailable(Condition::Unreachable));
}
