//! The database as a source of copies: every change that a subscription shows is in the log, and nobody's is passed over.

use std::collections::HashMap;

use sarban::domain::copy::{CopiedUser, FOLLOWABLE, Position, Update};
use sarban::domain::ids::UserId;
use sarban::domain::moment::Moment;
use sarban::domain::user::User;
use sarban::store::copy::source;
use sarban::store::{Db, Engine};

use crate::support::database::{TestDatabase, execute, number, on_both_engines, with_database};

on_both_engines! {
    every_change_that_a_subscription_shows_is_followed,
    recorded_traffic_is_logged_for_users_who_reach_their_limit,
    change_of_many_users_comes_in_parts,
    pages_have_all_users_but_the_removed,
    position_of_another_database_or_another_day_is_refused,
    log_is_pruned_by_age,
}

const USERS: &str = "INSERT INTO services (id, name) VALUES (1, 'one'), (2, 'two');
     INSERT INTO admins (id, username, hashed_password, is_sudo, created_at) VALUES (1, 'root', '', TRUE, 0), (2, 'ann', '', TRUE, 0);
     INSERT INTO users (id, username, key, owner_id, expire_strategy, created_at) VALUES
         (1, 'u1', 'a1', 1, 'never', 0), (2, 'u2', 'a2', 1, 'never', 0), (3, 'u3', 'a3', NULL, 'never', 0);
     INSERT INTO user_traffic (user_id, data_limit, created_at) VALUES (1, 100, 0), (2, 100, 0), (3, NULL, 0);
     INSERT INTO users_services (user_id, service_id) VALUES (1, 1), (2, 1), (3, 2);
     INSERT INTO inbounds (id, node_id, tag, protocol, config) VALUES (1, 1, 't', 'vless', '{}'), (2, 1, 'u', 'vless', '{}');
     INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 1);
     INSERT INTO hosts (id, inbound_id, spec) VALUES (1, 1, '{\"remark\": \"r\", \"address\": \"a\"}'),
         (2, NULL, '{\"remark\": \"r\", \"address\": \"a\"}');
     INSERT INTO hosts_services (host_id, service_id) VALUES (2, 1);
     INSERT INTO host_chains (host_id, seq, chained_host_id) VALUES (1, 0, 2);
     INSERT INTO settings (id, subscription) VALUES (1, '{\"profile_title\": \"a\"}');
     INSERT INTO panel_address (family, address, source, host) VALUES (4, '192.0.2.1', 'setting', 'h')";

/// Users in an update, users that are gone, and true if the shared part is in it.
type Expected = (&'static [i64], &'static [i64], bool);

/// Applies all that follows a position.
async fn follow(db: &Db, position: &mut Position) -> Vec<Update> {
    let mut updates = Vec::new();
    loop {
        let update = source::update(db, position).await.unwrap().expect("the log reaches back to the position");
        *position = Position::from_text(&update.position).expect("a position");
        let more = update.has_more;
        updates.push(update);
        if !more {
            updates.retain(|update| !update.is_empty());
            return updates;
        }
    }
}

/// The ids of the users in an update, and of those that are gone, and whether the shared part is in it.
fn changed(updates: &[Update]) -> (Vec<i64>, Vec<i64>, bool) {
    let mut users: Vec<i64> = updates.iter().flat_map(|update| &update.users).map(|user| user.id).collect();
    let mut gone: Vec<i64> = updates.iter().flat_map(|update| update.gone.clone()).collect();
    users.sort_unstable();
    users.dedup();
    gone.sort_unstable();
    gone.dedup();
    (users, gone, updates.iter().any(|update| update.shared.is_some()))
}

async fn every_change_that_a_subscription_shows_is_followed(db: Db) {
    execute(&db, &USERS.replace("'{\"profile_title\": \"a\"}'", "'{\"template_on_acceptance\": true, \"profile_title\": \"a\", \"support_link\": \"\", \"update_interval\": 1, \"rules\": []}'")).await;
    let mut position = source::position(&db).await.unwrap();
    assert_eq!(changed(&follow(&db, &mut position).await), (vec![], vec![], false), "nothing yet");
    const SHARED: Expected = (&[], &[], true);
    const NOTHING: Expected = (&[], &[], false);
    let cases: &[(&str, Expected)] = &[
        ("UPDATE users SET key = 'b1' WHERE id = 1", (&[1], &[], false)),
        ("UPDATE users SET note = 'x', enabled = FALSE", (&[1, 2, 3], &[], false)),
        ("UPDATE users SET username = NULL, removed = TRUE WHERE id = 3", (&[], &[3], false)),
        (
            "INSERT INTO users (id, username, key, expire_strategy, created_at) VALUES (4, 'u4', 'a4', 'never', 0);
          INSERT INTO user_traffic (user_id, created_at) VALUES (4, 0)",
            (&[4], &[], false),
        ),
        ("INSERT INTO users_services (user_id, service_id) VALUES (4, 2)", (&[4], &[], false)),
        ("DELETE FROM users_services WHERE user_id = 4", (&[4], &[], false)),
        ("UPDATE user_traffic SET data_limit = 50 WHERE user_id = 2", (&[2], &[], false)),
        ("UPDATE user_traffic SET data_limit_reset_strategy = 'day' WHERE user_id = 2", (&[2], &[], false)),
        ("UPDATE user_traffic SET used_traffic = 0, traffic_reset_at = 7 WHERE user_id = 2", (&[2], &[], false)),
        ("UPDATE user_traffic SET used_traffic = 10, online_at = 9 WHERE user_id = 2", NOTHING),
        ("INSERT INTO subscription_fetches (user_id, fetched_at, user_agent) VALUES (2, 1, 'app')", NOTHING),
        ("DELETE FROM users WHERE id = 4", (&[], &[4], false)),
        ("DELETE FROM services WHERE id = 1", (&[1, 2], &[], true)),
        ("UPDATE hosts SET weight = 2 WHERE id = 1", SHARED),
        ("INSERT INTO hosts_services (host_id, service_id) VALUES (2, 2)", SHARED),
        ("INSERT INTO inbounds_services (inbound_id, service_id) VALUES (1, 2)", SHARED),
        ("UPDATE host_chains SET seq = 3", SHARED),
        ("UPDATE inbounds SET config = '{\"a\": 1}' WHERE id = 2", SHARED),
        ("UPDATE inbounds SET absent_since = 5 WHERE id = 2", SHARED),
        ("UPDATE inbounds SET absent_since = 5, tag = 'u' WHERE id = 2", NOTHING),
        ("UPDATE nodes SET status = 'healthy', message = 'fine'", NOTHING),
        ("UPDATE nodes SET address = 'node.example'", SHARED),
        ("UPDATE nodes SET deleted_at = 5", SHARED),
        ("UPDATE settings SET telegram = '{}'", NOTHING),
        (
            "UPDATE settings SET subscription = '{\"template_on_acceptance\": true, \"profile_title\": \"b\", \"support_link\": \"\", \"update_interval\": 1, \"rules\": []}'",
            SHARED,
        ),
        ("UPDATE panel_address SET address = '192.0.2.2'", SHARED),
        ("UPDATE admins SET hashed_password = 'x'", NOTHING),
        ("UPDATE admins SET subscription_url_prefix = 'https://x.example' WHERE id = 1", SHARED),
        ("DELETE FROM admins WHERE id = 1", (&[1, 2], &[], true)),
        ("DELETE FROM hosts", SHARED),
        ("DELETE FROM inbounds", SHARED),
    ];
    for (sql, (users, gone, shared)) in cases {
        execute(&db, sql).await;
        let (users, gone) = (users.to_vec(), gone.to_vec());
        assert_eq!(changed(&follow(&db, &mut position).await), (users, gone, *shared), "{sql}");
        assert_eq!(changed(&follow(&db, &mut position).await), (vec![], vec![], false), "once: {sql}");
    }
    let shared = source::shared_part(&db).await.unwrap();
    assert_eq!(shared.settings.profile_title, "b");
    assert_eq!(shared.owners.iter().map(|owner| owner.username.as_str()).collect::<Vec<_>>(), ["ann"]);
    assert_eq!(sarban::subscription::shared_part::SharedPart::from_json(&shared.json()), Some(shared));
}

async fn recorded_traffic_is_logged_for_users_who_reach_their_limit(db: Db) {
    execute(&db, USERS).await;
    let mut position = source::position(&db).await.unwrap();
    let before = number(&db, "SELECT COUNT(*) FROM copy_change").await;
    for (used, logged) in [(60, vec![]), (110, vec![1, 2]), (120, vec![])] {
        execute(
            &db,
            &format!("UPDATE user_traffic SET used_traffic = {used}, lifetime_used_traffic = {used}, online_at = 1"),
        )
        .await;
        assert_eq!(changed(&follow(&db, &mut position).await), (logged, vec![], false), "{used}");
    }
    assert_eq!(number(&db, "SELECT COUNT(*) FROM copy_change").await - before, 2);
}

async fn change_of_many_users_comes_in_parts(db: Db) {
    let mut position = source::position(&db).await.unwrap();
    execute(
        &db,
        "WITH RECURSIVE more (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM more WHERE id < 5000)
         INSERT INTO users (id, username, key, expire_strategy, created_at)
         SELECT id, 'user_' || id, 'key_' || id, 'never', 0 FROM more;
         INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users",
    )
    .await;
    let updates = follow(&db, &mut position).await;
    assert!(updates.len() > 2 && updates.iter().all(|update| update.users.len() <= 2_000), "{}", updates.len());
    let (users, gone, shared) = changed(&updates);
    assert_eq!((users.len(), gone.len(), shared), (5_000, 0, false));
    if db.engine() == Engine::Postgres {
        assert_eq!(
            number(&db, "SELECT COUNT(*) FROM copy_change WHERE users IS NOT NULL").await,
            5,
            "lists of a thousand"
        );
    }
}

async fn pages_have_all_users_but_the_removed(db: Db) {
    execute(&db, USERS).await;
    execute(&db, "UPDATE users SET removed = TRUE, username = NULL WHERE id = 2").await;
    let first = source::page(&db, 0, 1).await.unwrap();
    assert_eq!(first.users.iter().map(|user| user.id).collect::<Vec<_>>(), [1]);
    let second = source::page(&db, 1, 10).await.unwrap();
    assert_eq!(second.users.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["u3"]);
    assert_eq!(source::page(&db, 3, 10).await.unwrap().users, Vec::<CopiedUser>::new());
    let user = first.users.into_iter().next().expect("a user").user(|_| None);
    let mut stored = sarban::store::users::by_username(&db, "u1").await.unwrap().expect("the user");
    stored.owner = None;
    assert_eq!(user, stored);
}

async fn position_of_another_database_or_another_day_is_refused(db: Db) {
    let position = source::position(&db).await.unwrap();
    assert!(source::update(&db, &position).await.unwrap().is_some());
    assert_eq!(position.incarnation.is_empty(), db.engine() == Engine::Sqlite, "PostgreSQL says which files it has");
    let late = position.at - FOLLOWABLE - 10_000_000;
    for refused in [
        Position { database: "another".to_owned(), ..position.clone() },
        Position { at: late, ..position.clone() },
        Position { from: i64::MAX.to_string(), ..position.clone() },
    ] {
        assert_eq!(source::update(&db, &refused).await.unwrap(), None, "{refused:?}");
    }
}

async fn log_is_pruned_by_age(db: Db) {
    execute(&db, USERS).await;
    execute(&db, "UPDATE copy_change SET changed_at = 5").await;
    execute(&db, "UPDATE users SET note = 'x' WHERE id = 1").await;
    let mut tx = db.begin().await.unwrap();
    assert_eq!(source::prune(&mut tx, Moment::from_micros(5), 1_000).await.unwrap(), 0);
    assert_eq!(source::prune(&mut tx, Moment::from_micros(6), 2).await.unwrap(), 2);
    assert!(source::prune(&mut tx, Moment::from_micros(6), 1_000).await.unwrap() > 0);
    tx.commit().await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM copy_change").await, 1);
}

/// Rows of the log become visible in another order than their ids: the transaction that took its number first may commit last.
#[test]
fn change_that_commits_late_is_not_passed_over() {
    with_database(Engine::Postgres, crate::support::database::Content::Schema, async |test: TestDatabase| {
        let db = test.db;
        execute(&db, USERS).await;
        let mut position = source::position(&db).await.unwrap();
        let mut late = db.begin().await.unwrap();
        let users = sarban::store::users::by_id(&mut late, UserId(1)).await.unwrap().expect("the user");
        let changed_user = User { note: Some("late".to_owned()), ..users.clone() };
        sarban::store::users::update(&mut late, &users, &changed_user).await.unwrap();
        let mut seen: HashMap<i64, usize> = HashMap::new();
        for round in 0..3 {
            execute(&db, &format!("UPDATE users SET note = 'early {round}' WHERE id = 2")).await;
            for user in follow(&db, &mut position).await.iter().flat_map(|update| &update.users) {
                *seen.entry(user.id).or_default() += 1;
            }
        }
        assert_eq!(seen, HashMap::from([(2, 3)]), "each change once, although the position can't move on");
        late.commit().await.unwrap();
        assert_eq!(changed(&follow(&db, &mut position).await), (vec![1], vec![], false));
        assert_eq!(changed(&follow(&db, &mut position).await), (vec![], vec![], false));
        // An open transaction, of any database of the server, must not make the position grow.
        let mut open = db.begin().await.unwrap();
        let user = sarban::store::users::by_id(&mut open, UserId(3)).await.unwrap().expect("the user");
        let noted = User { note: Some("open".to_owned()), ..user.clone() };
        sarban::store::users::update(&mut open, &user, &noted).await.unwrap();
        for round in 0..2 {
            execute(
                &db,
                "DO $$ BEGIN FOR n IN 1..400 LOOP UPDATE users SET note = 'n' || n WHERE id = 2; END LOOP; END $$",
            )
            .await;
            assert_eq!(changed(&follow(&db, &mut position).await), (vec![2], vec![], false), "{round}");
            assert!(position.text().len() < 1_000, "{}", position.text());
        }
        open.commit().await.unwrap();
        assert_eq!(changed(&follow(&db, &mut position).await), (vec![3], vec![], false));
    });
}
