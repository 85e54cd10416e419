//! A copy follows its database: it fills, applies changes, repairs itself, begins again when it must, and goes on while the database
//! is away.

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sarban::actions::changes::Changes;
use sarban::actions::copy::LocalCopy;
use sarban::actions::copy::follower::follow;
use sarban::actions::copy::source::Source;
use sarban::actions::fetch_log::FetchLog;
use sarban::clock::Clock;
use sarban::cluster::self_report::SelfReport;
use sarban::domain::change::Changed;
use sarban::domain::copy::{Agreement, CopiedUser, Update, UserPage};
use sarban::domain::ids::UserId;
use sarban::domain::moment::{HOUR, SECOND};
use sarban::domain::user::User;
use sarban::foundation::FailureStreak;
use sarban::store::copy::file::CopyFile;
use sarban::store::copy::source;
use sarban::store::{Db, StoreError};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::users::NOW;
use crate::support::database::{TestDatabase, execute, number, on_both_engines};

on_both_engines! {
    new_copy_fills_and_follows,
    damaged_copy_and_one_of_another_database_are_made_again,
    wrong_user_in_a_copy_is_repaired,
    key_decides_between_two_users_of_one_name,
    second_process_of_a_folder_reads_and_takes_over,
    file_that_is_opened_again_fails_no_request,
    copy_serves_up_to_its_age_and_no_longer,
    copy_is_as_old_as_it_is_while_the_clock_is_set_back,
    fetches_without_the_database_are_saved_afterwards,
    thousands_of_users_are_copied_page_by_page,
}

const FILE: &str = "subscriptions.copy";

/// A follower with its folder. It stops when it is dropped.
struct Follower {
    copy: LocalCopy,
    changes: Changes,
    _task: AbortOnDropHandle<()>,
}

impl Follower {
    fn start(db: &Db, folder: &Path, clock: Clock) -> Self {
        let (copy, changes) = (LocalCopy::new(folder, clock, HOUR), Changes::default());
        let wakeups = changes.wakeup().subscribe();
        let following = follow(copy.clone(), Source::Database(db.clone()), wakeups, SelfReport::default());
        Self { copy, changes, _task: AbortOnDropHandle::new(tokio::spawn(following)) }
    }

    /// Waits until the copy is complete.
    async fn filled(db: &Db, folder: &Path) -> Self {
        let follower = Self::start(db, folder, Clock::real());
        until("the copy is complete", async || follower.copy.can_serve()).await;
        follower
    }

    async fn user(&self, username: &str) -> Option<User> {
        // A copy that begins again serves nothing for a moment.
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.copy.subscriber(username, "").await.unwrap();
            if let Some(found) = found {
                return found.user.map(|user| (*user).clone());
            }
            assert!(Instant::now() < end, "the copy serves nothing for 30 s");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn key(&self, username: &str) -> Option<String> {
        self.user(username).await.map(|user| user.key)
    }
}

async fn until(state: &str, is_reached: impl AsyncFn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_reached().await {
        assert!(Instant::now() < end, "after 30 s not: {state}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn with_users(db: &Db) -> TempDir {
    execute(
        db,
        "INSERT INTO admins (id, username, hashed_password, is_sudo, subscription_url_prefix, created_at)
             VALUES (1, 'root', '', TRUE, 'https://x.example', 0);
         INSERT INTO users (id, username, key, owner_id, expire_strategy, created_at) VALUES
             (1, 'ann', 'a1', 1, 'never', 0), (2, 'bob', 'b1', NULL, 'never', 0);
         INSERT INTO user_traffic (user_id, data_limit, created_at) VALUES (1, 100, 0), (2, NULL, 0)",
    )
    .await;
    tempfile::tempdir().expect("a folder")
}

async fn new_copy_fills_and_follows(db: Db) {
    let folder = with_users(&db).await;
    let follower = Follower::filled(&db, folder.path()).await;
    assert_eq!(follower.user("ann").await, sarban::store::users::by_username(&db, "ann").await.unwrap());
    assert_eq!(follower.user("nobody").await, None);
    execute(&db, "UPDATE users SET key = 'a2' WHERE id = 1").await;
    // As by another process: found within a second, without a wake-up.
    until("the new key is followed", async || follower.key("ann").await.as_deref() == Some("a2")).await;
    until("the copy agrees", async || follower.copy.is_current(None)).await;
    execute(&db, "UPDATE users SET removed = TRUE, username = NULL WHERE id = 1").await;
    follower.changes.publish(Changed::Users);
    let changed = follower.changes.last_shown_to_everybody();
    assert!(changed.is_some());
    until("the copy agrees after the change", async || follower.copy.is_current(changed)).await;
    until("the removal is followed", async || follower.user("ann").await.is_none()).await;
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (3, 'ann', 'a3', 'never', 0);
                  INSERT INTO user_traffic (user_id, created_at) VALUES (3, 0)",
    )
    .await;
    until("the name's next user is followed", async || follower.key("ann").await.as_deref() == Some("a3")).await;
    let revision =
        async || follower.copy.subscriber("ann", "").await.unwrap().expect("the copy serves").sources.revision;
    let before = revision().await;
    execute(&db, "INSERT INTO panel_address (family, address, source, host) VALUES (4, '192.0.2.9', 'setting', 'h')")
        .await;
    until("the shared part is followed", async || revision().await != before).await;
    let report = follower.copy.report().expect("a report");
    assert_eq!((report.users, report.age.expect("an age") < 30), (2, true));
}

async fn damaged_copy_and_one_of_another_database_are_made_again(db: Db) {
    let folder = with_users(&db).await;
    drop(Follower::filled(&db, folder.path()).await);
    let path = folder.path().join(FILE);
    let mut file = std::fs::File::options().write(true).open(&path).expect("the file");
    file.seek(SeekFrom::Start(100)).expect("a place");
    file.write_all(&[0x5a; 5_000]).expect("written");
    let _ = std::fs::remove_file(folder.path().join(format!("{FILE}-wal")));
    let follower = Follower::filled(&db, folder.path()).await;
    assert_eq!(follower.key("bob").await.as_deref(), Some("b1"));
    drop(follower);

    execute(&db, "DELETE FROM copy_source").await;
    let other = match db.engine() {
        sarban::store::Engine::Postgres => "'00000000-0000-0000-0000-000000000001'",
        sarban::store::Engine::Sqlite => "zeroblob(16)",
    };
    execute(&db, &format!("INSERT INTO copy_source (id, identity) VALUES (1, {other})")).await;
    execute(&db, "UPDATE users SET key = 'c1' WHERE id = 2").await;
    let follower = Follower::start(&db, folder.path(), Clock::real());
    until("the new database is copied", async || {
        follower.copy.can_serve() && follower.key("bob").await.as_deref() == Some("c1")
    })
    .await;
    assert_eq!(follower.copy.report().expect("a report").users, 2);
}

/// Applies an update at the position of the file, and returns the number of users. `None`: the last connection of the follower before
/// was still closing.
async fn changed(path: &Path, update: Update) -> Option<i64> {
    let file = CopyFile::open(path).await.ok()??;
    let users = async {
        let position = file.state().await?.position.expect("a position").text();
        file.apply(&Update { position, ..update }, None).await?;
        Ok::<_, StoreError>(file.state().await?.users)
    };
    let users = users.await;
    file.close().await;
    users.ok()
}

async fn wrong_user_in_a_copy_is_repaired(db: Db) {
    let folder = with_users(&db).await;
    drop(Follower::filled(&db, folder.path()).await);
    let page = source::page(&db, 0, 10).await.unwrap();
    let [mut extra, mut wrong]: [CopiedUser; 2] = page.users.try_into().expect("two users");
    wrong.key = "wrong".to_owned();
    (extra.id, extra.username) = (9, "extra".to_owned());
    let update = Update { users: vec![wrong, extra], gone: vec![1], ..Update::default() };
    until("the copy is changed", async || changed(&folder.path().join(FILE), update.clone()).await == Some(2)).await;
    let inode = || std::fs::metadata(folder.path().join(FILE)).expect("the file").ino();
    let before = inode();
    let follower = Follower::filled(&db, folder.path()).await;
    assert_eq!(inode(), before, "a good file is not made again");
    until("the copy is repaired", async || {
        let users = [follower.key("ann").await, follower.key("bob").await, follower.key("extra").await];
        users == [Some("a1".to_owned()), Some("b1".to_owned()), None]
    })
    .await;
}

async fn key_decides_between_two_users_of_one_name(db: Db) {
    let folder = with_users(&db).await;
    drop(Follower::filled(&db, folder.path()).await);
    // As for a moment after the name of a removed user passed to a new one.
    let mut next = source::page(&db, 0, 1).await.unwrap().users.remove(0);
    (next.id, next.key) = (9, "a9".to_owned());
    let update = Update { users: vec![next], ..Update::default() };
    until("the copy is changed", async || changed(&folder.path().join(FILE), update.clone()).await == Some(3)).await;
    let copy = LocalCopy::new(folder.path(), Clock::real(), HOUR);
    assert!(copy.open_to_serve().await.unwrap());
    for (key, id) in [("a1", 1), ("a9", 9), ("none of theirs", 9)] {
        let found = copy.subscriber("ann", key).await.unwrap().expect("the copy serves").user;
        assert_eq!(found.map(|user| user.id), Some(UserId(id)), "{key}");
    }
}

async fn second_process_of_a_folder_reads_and_takes_over(db: Db) {
    let folder = with_users(&db).await;
    let first = Follower::filled(&db, folder.path()).await;
    let second = Follower::filled(&db, folder.path()).await;
    execute(&db, "UPDATE users SET key = 'a2' WHERE id = 1").await;
    until("both have the change", async || {
        first.key("ann").await.as_deref() == Some("a2") && second.key("ann").await.as_deref() == Some("a2")
    })
    .await;
    // What all subscriptions share is prepared once, not each time that the second one looks at the file.
    let sources = async || second.copy.subscriber("ann", "").await.unwrap().expect("the copy serves").sources;
    let prepared = sources().await;
    execute(
        &db,
        "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (3, 'eve', 'e1', 'never', 0);
         INSERT INTO user_traffic (user_id, created_at) VALUES (3, 0)",
    )
    .await;
    let counted = async || second.copy.report().expect("a report").users == 3;
    until("the second one has looked at the file", counted).await;
    assert!(Arc::ptr_eq(&prepared, &sources().await), "nothing that all share has changed");
    execute(&db, "INSERT INTO panel_address (family, address, source, host) VALUES (4, '192.0.2.9', 'setting', 'h')")
        .await;
    until("the second one has the new address", async || sources().await.revision != prepared.revision).await;
    drop(first);
    execute(&db, "UPDATE users SET key = 'a3' WHERE id = 1").await;
    until("the second one follows", async || {
        second.copy.can_serve() && second.key("ann").await.as_deref() == Some("a3")
    })
    .await;
}

async fn file_that_is_opened_again_fails_no_request(db: Db) {
    let folder = with_users(&db).await;
    drop(Follower::filled(&db, folder.path()).await);
    let copy = LocalCopy::new(folder.path(), Clock::real(), HOUR);
    assert!(copy.open_to_serve().await.unwrap());
    let opening = async {
        for _ in 0..100 {
            assert!(copy.open_to_serve().await.expect("it opens again"));
        }
    };
    let asking = async {
        loop {
            let found = copy.subscriber("ann", "a1").await.expect("a request while the file is opened again");
            assert!(found.is_some_and(|found| found.user.is_some()), "the copy serves all the time");
        }
    };
    tokio::select! {
        () = opening => {}
        () = asking => {}
    }
}

async fn copy_serves_up_to_its_age_and_no_longer(db: Db) {
    let folder = with_users(&db).await;
    let clock = Clock::fixed(NOW);
    let follower = Follower::start(&db, folder.path(), clock.clone());
    until("the copy is complete", async || follower.copy.can_serve()).await;
    let copy = follower.copy.clone();
    drop(follower);
    clock.advance(HOUR);
    assert_eq!(copy.subscriber("ann", "a1").await.unwrap().expect("the copy serves").age, HOUR / SECOND);
    assert!(!copy.is_current(None), "not for a database that is only slow");
    clock.advance(SECOND);
    assert!(!copy.can_serve());
    assert!(copy.subscriber("ann", "a1").await.unwrap().is_none());
}

async fn copy_is_as_old_as_it_is_while_the_clock_is_set_back(db: Db) {
    let folder = with_users(&db).await;
    let boot = Clock::real();
    let agreed_at = boot.now().plus(-100 * HOUR);
    let clock = Clock::fixed(agreed_at);
    let follower = Follower::start(&db, folder.path(), clock.clone());
    until("the copy is complete", async || follower.copy.can_serve()).await;
    let copy = follower.copy.clone();
    drop(follower);
    clock.set_back(3 * HOUR);
    clock.advance(HOUR);
    assert_eq!(copy.subscriber("ann", "a1").await.unwrap().expect("the copy serves").age, HOUR / SECOND);
    assert!(!copy.is_current(None), "not for a database that is only slow");
    // Another process of the same boot.
    let restarted = LocalCopy::new(folder.path(), clock.clone(), HOUR);
    assert!(restarted.open_to_serve().await.unwrap());
    assert_eq!(restarted.report().and_then(|report| report.age), Some(HOUR / SECOND));
    clock.advance(SECOND);
    assert!(!copy.can_serve() && !restarted.can_serve());
    // In another boot the clock says the age, and if it is behind the copy, the age counts from the opening.
    let elsewhere = LocalCopy::new(folder.path(), boot.clone(), 200 * HOUR);
    assert!(elsewhere.open_to_serve().await.unwrap());
    let (age, expected) = (elsewhere.report().and_then(|report| report.age).expect("an age"), 100 * HOUR / SECOND);
    assert!((expected..expected + 600).contains(&age), "{age} instead of {expected}");
    let later = Clock::fixed(boot.now().plus(HOUR));
    let file = CopyFile::open(&folder.path().join(FILE)).await.unwrap().expect("a copy");
    let agreed = Agreement { at: later.now(), since_boot: later.boot(), boot: "another".to_owned() };
    let position = file.state().await.unwrap().position.expect("a position").text();
    file.apply(&Update { position, ..Update::default() }, Some(&agreed)).await.unwrap();
    file.close().await;
    let clock = Clock::fixed(boot.now());
    let behind = LocalCopy::new(folder.path(), clock.clone(), 600 * SECOND);
    assert!(behind.open_to_serve().await.unwrap());
    for seconds in [0, 300, 600] {
        // Also after it has looked at the file again.
        behind.read_along(&SelfReport::default(), &mut FailureStreak::default()).await;
        assert_eq!(behind.report().and_then(|report| report.age), Some(seconds), "counted from the opening");
        assert!(behind.can_serve());
        clock.advance(300 * SECOND);
    }
    assert!(!behind.can_serve(), "too old although the clock is still behind the copy");
}

/// In parts, so that a copy which is full of users who are gone is not read into memory.
#[tokio::test]
async fn users_who_are_gone_are_removed_in_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = CopyFile::create(&folder.path().join(FILE)).await.unwrap();
    let user = |id: i64| CopiedUser::of(User::bare(UserId(id), &format!("user_{id}"), "key", NOW)).expect("a name");
    let all: Vec<CopiedUser> = (1..=9_000).map(user).collect();
    file.apply(&Update { users: all, ..Update::default() }, None).await.unwrap();
    // The database has four of them.
    let (mut after, mut parts) = (i64::MIN, 0);
    loop {
        let users = [1, 2, 5_000, 8_999].into_iter().filter(|id| *id > after).map(user).collect();
        let difference = file.put_page(after, &UserPage { users }).await.unwrap();
        assert!(difference.changed <= 3_000, "{} users were removed in one part", difference.changed);
        assert!(
            difference.logged.iter().all(|id| ![1, 2, 5_000, 8_999].contains(id)),
            "users who stay were written again"
        );
        let Some(last) = difference.last else { break };
        assert!(last > after, "{last} after {after}");
        (after, parts) = (last, parts + 1);
    }
    assert!(parts >= 4, "{parts} parts for 9,000 users: some were passed over");
    let mut left = Vec::new();
    for id in 1..=9_000 {
        left.extend(file.users(&format!("user_{id}")).await.unwrap().into_iter().map(|user| user.id));
    }
    assert_eq!((left, file.state().await.unwrap().users), (vec![1, 2, 5_000, 8_999], 4));
}

async fn fetches_without_the_database_are_saved_afterwards(test: TestDatabase) {
    let TestDatabase { db, options } = test;
    let away = Db::open(&options).await.unwrap();
    away.close().await;
    let folder = with_users(&db).await;
    let follower = Follower::filled(&db, folder.path()).await;
    let copy = follower.copy.clone();
    drop(follower);
    let log = FetchLog::default();
    log.record(UserId(1), NOW, "old");
    copy.write_fetches(&log, &away).await.unwrap();
    log.record(UserId(1), NOW.plus(SECOND), "new");
    log.record(UserId(7), NOW, "of a removed user");
    copy.write_fetches(&log, &away).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM subscription_fetches").await, 0);
    let ann = copy.subscriber("ann", "a1").await.unwrap().expect("the copy serves").user.expect("ann");
    assert_eq!(ann.sub_last_user_agent.as_deref(), Some("new"), "shown meanwhile");

    // Another process, after a restart.
    let follower = Follower::filled(&db, folder.path()).await;
    follower.copy.write_fetches(&FetchLog::default(), &db).await.unwrap();
    let stored = "SELECT COUNT(*) FROM subscription_fetches WHERE user_id = 1 AND user_agent = 'new'";
    assert_eq!(number(&db, stored).await, 1);
    execute(&db, "DELETE FROM subscription_fetches").await;
    follower.copy.write_fetches(&FetchLog::default(), &db).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM subscription_fetches").await, 0, "each once");
}

async fn thousands_of_users_are_copied_page_by_page(db: Db) {
    execute(
        &db,
        "WITH RECURSIVE more (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM more WHERE id < 9001)
         INSERT INTO users (id, username, key, expire_strategy, created_at)
         SELECT id, 'user_' || id, 'key_' || id, 'never', 0 FROM more;
         INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users",
    )
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::filled(&db, folder.path()).await;
    assert_eq!(follower.copy.report().expect("a report").users, 9_001);
    for id in [1, 4_000, 4_001, 9_001] {
        assert_eq!(follower.key(&format!("user_{id}")).await, Some(format!("key_{id}")));
    }
    execute(
        &db,
        "UPDATE users SET note = 'x'; DELETE FROM user_traffic WHERE user_id > 5000; DELETE FROM users WHERE id > 5000",
    )
    .await;
    until("a change of all is followed", async || follower.user("user_9001").await.is_none()).await;
    until("each is changed", async || {
        follower.user("user_1").await.is_some_and(|user| user.note.is_some())
            && follower.user("user_5000").await.is_some_and(|user| user.note.is_some())
    })
    .await;
}
