//! Recorded fetches of subscriptions: visible at once, written together, never older over newer.

use sarban::actions::fetch_log::FetchLog;
use sarban::actions::users;
use sarban::clock::Clock;
use sarban::domain::ids::UserId;
use sarban::domain::moment::SECOND;
use sarban::domain::user::User;
use sarban::store::Db;

use super::users::{NOW, named, panel, root};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    recorded_fetch_is_visible_at_once_and_stored_by_flush,
    user_read_before_the_write_shows_the_fetch_after_it,
    older_fetch_does_not_replace_a_newer_one,
    fetch_of_a_deleted_user_is_ignored,
    failed_flush_is_repeated_by_the_next_one,
    hundred_thousand_fetches_become_one_row_per_user,
}

async fn recorded_fetch_is_visible_at_once_and_stored_by_flush(db: Db) {
    let panel = panel(&db).await;
    let mut ann = users::create(&panel, &root(), named("ann")).await.unwrap();
    let log = FetchLog::default();
    log.record(ann.id, NOW, &"x".repeat(600));
    log.record(ann.id, NOW.plus(SECOND), "clash");
    log.overlay(&mut ann);
    assert_eq!((ann.sub_updated_at, ann.sub_last_user_agent.as_deref()), (Some(NOW.plus(SECOND)), Some("clash")));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM subscription_fetches").await, 0);
    assert_eq!(log.flush(&db, &Clock::real()).await.unwrap(), 1);
    assert_eq!(users::get(&panel, &root(), "ann").await.unwrap(), ann);
    assert_eq!(log.flush(&db, &Clock::real()).await.unwrap(), 0);
    log.record(ann.id, NOW.plus(2 * SECOND), &"é".repeat(600));
    log.flush(&db, &Clock::real()).await.unwrap();
    let agent = users::get(&panel, &root(), "ann").await.unwrap().sub_last_user_agent;
    assert_eq!(agent, Some("é".repeat(512)));
}

/// Users are cached for a moment: a write in between must not hide the fetch.
async fn user_read_before_the_write_shows_the_fetch_after_it(db: Db) {
    let panel = panel(&db).await;
    let mut cached = users::create(&panel, &root(), named("ann")).await.unwrap();
    let log = FetchLog::default();
    log.record(cached.id, NOW, "clash");
    log.flush(&db, &Clock::real()).await.unwrap();
    log.flush(&db, &Clock::real()).await.unwrap();
    log.overlay(&mut cached);
    assert_eq!(users::get(&panel, &root(), "ann").await.unwrap(), cached);
}

async fn older_fetch_does_not_replace_a_newer_one(db: Db) {
    let panel = panel(&db).await;
    let ann = users::create(&panel, &root(), named("ann")).await.unwrap();
    let (here, elsewhere) = (FetchLog::default(), FetchLog::default());
    here.record(ann.id, NOW, "old");
    elsewhere.record(ann.id, NOW.plus(1), "new");
    elsewhere.flush(&db, &Clock::real()).await.unwrap();
    let newest = users::get(&panel, &root(), "ann").await.unwrap();
    let mut seen = newest.clone();
    here.overlay(&mut seen);
    assert_eq!(seen, newest);
    here.flush(&db, &Clock::real()).await.unwrap();
    assert_eq!(users::get(&panel, &root(), "ann").await.unwrap(), newest);
}

async fn fetch_of_a_deleted_user_is_ignored(db: Db) {
    let panel = panel(&db).await;
    let ann = users::create(&panel, &root(), named("ann")).await.unwrap();
    let bob = users::create(&panel, &root(), named("bob")).await.unwrap();
    let log = FetchLog::default();
    log.record(ann.id, NOW, "a");
    log.record(bob.id, NOW, "b");
    execute(&db, "DELETE FROM users WHERE username = 'ann'").await;
    log.flush(&db, &Clock::real()).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM subscription_fetches").await, 1);
}

async fn failed_flush_is_repeated_by_the_next_one(db: Db) {
    let panel = panel(&db).await;
    let ann = users::create(&panel, &root(), named("ann")).await.unwrap();
    let log = FetchLog::default();
    log.record(ann.id, NOW, "clash");
    execute(&db, "ALTER TABLE subscription_fetches RENAME TO away").await;
    log.flush(&db, &Clock::real()).await.expect_err("the table is away");
    let mut seen = User { sub_updated_at: None, ..ann.clone() };
    log.overlay(&mut seen);
    assert_eq!(seen.sub_updated_at, Some(NOW));
    execute(&db, "ALTER TABLE away RENAME TO subscription_fetches").await;
    log.flush(&db, &Clock::real()).await.unwrap();
    assert_eq!(users::get(&panel, &root(), "ann").await.unwrap(), seen);
}

async fn hundred_thousand_fetches_become_one_row_per_user(db: Db) {
    const USERS: i64 = 500;
    const FETCHES: i64 = 200;
    execute(
        &db,
        "WITH RECURSIVE more (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM more WHERE id < 500)
         INSERT INTO users (id, username, key, enabled, activated, expire_strategy, created_at)
         SELECT id, 'user_' || id, 'key_' || id, TRUE, TRUE, 'never', 0 FROM more",
    )
    .await;
    let log = FetchLog::default();
    let apps = (0..4).map(|app| {
        let log = log.clone();
        tokio::spawn(async move {
            for fetch in (app..FETCHES).step_by(4) {
                for user in 1..=USERS {
                    log.record(UserId(user), NOW.plus(fetch), "app");
                }
                tokio::task::yield_now().await;
            }
        })
    });
    let apps: Vec<_> = apps.collect();
    let mut written = 0;
    // As the panel does, while clients keep fetching.
    for _ in 0..5 {
        written += log.flush(&db, &Clock::real()).await.unwrap();
        tokio::task::yield_now().await;
    }
    for app in apps {
        app.await.unwrap();
    }
    written += log.flush(&db, &Clock::real()).await.unwrap();
    assert_eq!(log.flush(&db, &Clock::real()).await.unwrap(), 0, "nothing is pending");
    assert!((500..=3_000).contains(&written), "at most a row per user and flush: {written}");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM subscription_fetches").await, USERS);
    let newest = NOW.plus(FETCHES - 1).micros();
    assert_eq!(
        number(&db, "SELECT MIN(fetched_at) FROM subscription_fetches").await,
        newest,
        "the latest fetch of each user"
    );
}
