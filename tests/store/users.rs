//! Changes of users by admins: stored state, marks for nodes, and permissions.

use sarban::actions::Panel;
use sarban::actions::admins::Actor;
use sarban::actions::changes::Changes;
use sarban::actions::users::{self, UserError, bulk};
use sarban::clock::Clock;
use sarban::domain::admin::Admin;
use sarban::domain::ids::{AdminId, ServiceId};
use sarban::domain::moment::{DAY, Moment, SECOND};
use sarban::domain::user::edit::{NewUser, UserEdit};
use sarban::domain::user::username::Username;
use sarban::domain::user::{Expiry, ResetStrategy, User};
use sarban::store::{Db, OpenOptions};

use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    new_user_reads_back_as_created,
    taken_name_or_key_is_a_conflict,
    edit_changes_only_the_given_fields,
    edit_sets_services_and_drops_unknown_ones,
    concurrent_edits_are_all_kept,
    concurrent_changes_by_two_processes_are_all_kept,
    only_changes_that_nodes_need_are_marked,
    new_key_advances_the_key_sequence,
    deleted_user_frees_the_name_but_not_the_key,
    enabling_twice_is_a_conflict,
    reset_keeps_the_lifetime_traffic,
    admin_changes_own_users_only,
    admin_assigns_only_own_services,
    admin_without_modify_right_may_only_create,
    sudo_admin_sets_another_owner,
    expired_own_users_are_removed_in_chunks,
    reset_of_all_activates_limited_users,
    all_users_of_an_admin_are_disabled_and_enabled,
}

pub const NOW: Moment = Moment::from_micros(1_800_000_000 * SECOND);

pub async fn panel(db: &Db) -> Panel {
    execute(
        db,
        "INSERT INTO admins (id, username, hashed_password, is_sudo, modify_users_access, created_at) VALUES
             (1, 'root', '', TRUE, TRUE, 0), (2, 'alice', '', FALSE, TRUE, 0), (3, 'carol', '', FALSE, FALSE, 0);
         INSERT INTO services (id, name) VALUES (1, 'one'), (2, 'two'), (3, 'three');
         INSERT INTO admins_services (admin_id, service_id) VALUES (2, 1), (2, 2)",
    )
    .await;
    Panel::new(db.clone(), Clock::fixed(NOW))
}

pub fn root() -> Admin {
    Admin {
        id: AdminId(1),
        username: "root".to_owned(),
        is_sudo: true,
        enabled: true,
        all_services_access: false,
        modify_users_access: true,
        service_ids: Vec::new(),
        subscription_url_prefix: String::new(),
        password_reset_at: None,
        created_at: Moment::from_micros(0),
        role: None,
        requires_second_factor: false,
    }
}

pub fn alice() -> Admin {
    let service_ids = vec![ServiceId(1), ServiceId(2)];
    Admin { id: AdminId(2), username: "alice".to_owned(), is_sudo: false, service_ids, ..root() }
}

fn carol() -> Admin {
    Admin { id: AdminId(3), username: "carol".to_owned(), is_sudo: false, modify_users_access: false, ..root() }
}

pub fn named(name: &str) -> NewUser {
    NewUser {
        username: Username::parse(name).expect("a good name"),
        key: None,
        expiry: Expiry::Never,
        data_limit: None,
        reset_strategy: ResetStrategy::NoReset,
        note: None,
        service_ids: Vec::new(),
    }
}

/// Creates a user that nodes know.
async fn known(panel: &Panel, new: NewUser) -> User {
    let user = users::create(panel, &root(), new).await.unwrap();
    execute(&panel.db, "DELETE FROM user_change").await;
    user
}

async fn marks(panel: &Panel) -> i64 {
    number(&panel.db, "SELECT COUNT(*) FROM user_change").await
}

async fn new_user_reads_back_as_created(db: Db) {
    let panel = panel(&db).await;
    let hold = Expiry::StartOnFirstUse { duration: -5, deadline: Some(NOW) };
    let new = NewUser {
        key: Some("abc".to_owned()),
        expiry: hold,
        data_limit: Some(7),
        reset_strategy: ResetStrategy::Week,
        note: Some("ü".to_owned()),
        service_ids: vec![ServiceId(3), ServiceId(99), ServiceId(1), ServiceId(3)],
        ..named("Ann")
    };
    let made = users::create(&panel, &root(), new).await.unwrap();
    assert_eq!(users::get(&panel, &root(), "ann").await.unwrap(), made);
    assert_eq!(made.service_ids, [ServiceId(1), ServiceId(3)]);
    assert_eq!((made.expiry, made.data_limit, made.created_at, made.activated), (hold, Some(7), NOW, true));
    assert_eq!(made.owner.as_ref().map(|owner| owner.username.as_str()), Some("root"));
    assert_eq!(marks(&panel).await, 1);

    let expired = NewUser { expiry: Expiry::FixedDate(NOW.plus(-1)), data_limit: Some(0), ..named("bob") };
    let expired = users::create(&panel, &root(), expired).await.unwrap();
    assert_eq!(users::get(&panel, &root(), "bob").await.unwrap(), expired);
    assert!(expired.activated && !expired.is_active(NOW), "the review removes it from the nodes");
    assert_eq!(expired.data_limit, None, "0 is no limit");
    assert!(expired.key.len() == 32 && expired.key.chars().all(|c| c.is_ascii_hexdigit()));
    assert!(matches!(users::get(&panel, &root(), "Ann").await, Err(UserError::NotFound)), "look-ups keep case");
    assert!(matches!(users::get(&panel, &root(), "a\0n").await, Err(UserError::NotFound)));
}

async fn taken_name_or_key_is_a_conflict(db: Db) {
    let panel = panel(&db).await;
    let ann = known(&panel, named("ann")).await;
    assert!(matches!(users::create(&panel, &root(), named("ANN")).await, Err(UserError::NameTaken)));
    let same_key = NewUser { key: Some(ann.key), ..named("bob") };
    assert!(matches!(users::create(&panel, &root(), same_key).await, Err(UserError::KeyTaken)));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(marks(&panel).await, 0);
}

async fn edit_changes_only_the_given_fields(db: Db) {
    let panel = panel(&db).await;
    let new =
        NewUser { data_limit: Some(9), note: Some("n".to_owned()), service_ids: vec![ServiceId(1)], ..named("ann") };
    let before = known(&panel, new).await;
    let edit = UserEdit { reset_strategy: Some(ResetStrategy::Day), ..UserEdit::default() };
    let after = users::modify(&panel, &root(), "ann", edit).await.unwrap();
    assert_eq!(after, User { reset_strategy: ResetStrategy::Day, edit_at: Some(NOW), ..before });
    assert_eq!(users::get(&panel, &root(), "ann").await.unwrap(), after);
    assert!(matches!(users::modify(&panel, &root(), "nope", UserEdit::default()).await, Err(UserError::NotFound)));
}

async fn edit_sets_services_and_drops_unknown_ones(db: Db) {
    let panel = panel(&db).await;
    known(&panel, NewUser { service_ids: vec![ServiceId(1), ServiceId(2)], ..named("ann") }).await;
    for (wanted, expected) in [(vec![2, 3, 99], vec![2, 3]), (vec![], vec![]), (vec![1], vec![1])] {
        let wanted = wanted.into_iter().map(ServiceId).collect();
        let edit = UserEdit { service_ids: Some(wanted), ..UserEdit::default() };
        users::modify(&panel, &root(), "ann", edit).await.unwrap();
        let found = users::get(&panel, &root(), "ann").await.unwrap().service_ids;
        assert_eq!(found, expected.into_iter().map(ServiceId).collect::<Vec<_>>());
    }
}

async fn concurrent_edits_are_all_kept(db: Db) {
    let panel = panel(&db).await;
    known(&panel, named("ann")).await;
    for round in 0..10 {
        let note = UserEdit { note: Some(format!("round {round}")), ..UserEdit::default() };
        let hold = Expiry::StartOnFirstUse { duration: round + 1, deadline: None };
        let expiry = UserEdit { expiry: hold.into(), ..UserEdit::default() };
        let (admin, other) = (root(), root());
        let (one, two) =
            tokio::join!(users::modify(&panel, &admin, "ann", note), users::modify(&panel, &other, "ann", expiry));
        assert!(one.is_ok() && two.is_ok());
        let ann = users::get(&panel, &root(), "ann").await.unwrap();
        assert_eq!((ann.note, ann.expiry), (Some(format!("round {round}")), hold));
    }
}

/// Each change takes another lock in addition to the user's: of a service, an admin, the key sequence or the traffic.
async fn concurrent_changes_by_two_processes_are_all_kept(options: OpenOptions) {
    let (here, there) = (Db::open(&options).await.unwrap(), Db::open(&options).await.unwrap());
    let here = panel(&here).await;
    let there = Panel { db: there, changes: Changes::default(), ..here.clone() };
    known(&here, named("ann")).await;
    execute(&here.db, "UPDATE user_traffic SET used_traffic = 9").await;
    let (admin, other) = (root(), root());
    let mut key = users::get(&here, &admin, "ann").await.unwrap().key;
    for round in 0..10 {
        let note = UserEdit { note: Some(format!("round {round}")), ..UserEdit::default() };
        let services = vec![ServiceId(1 + round % 3)];
        let given = UserEdit { service_ids: Some(services.clone()), ..UserEdit::default() };
        let limit = UserEdit { data_limit: Some(round + 1), ..UserEdit::default() };
        let owner = if round % 2 == 0 { "alice" } else { "root" };
        let done = tokio::join!(
            users::modify(&here, &admin, "ann", note),
            users::modify(&there, &other, "ann", given),
            users::modify(&there, &other, "ann", limit),
            users::set_owner(&here, &admin, "ann", owner),
            users::revoke_subscription(&there, &other, "ann"),
            users::reset_traffic(&here, &admin, "ann"),
        );
        for change in [done.0, done.1, done.2, done.3, done.4, done.5] {
            change.unwrap();
        }
        let ann = users::get(&there, &other, "ann").await.unwrap();
        assert_eq!((ann.note, ann.service_ids), (Some(format!("round {round}")), services));
        assert_eq!((ann.data_limit, ann.used_traffic), (Some(round + 1), 0));
        assert_eq!(ann.owner.map(|owner| owner.username).as_deref(), Some(owner));
        assert_ne!(ann.key, key, "the key is new");
        key = ann.key;
    }
    here.db.close().await;
    there.db.close().await;
}

async fn only_changes_that_nodes_need_are_marked(db: Db) {
    let panel = panel(&db).await;
    known(&panel, NewUser { service_ids: vec![ServiceId(1)], ..named("ann") }).await;
    let mut wakeups = panel.changes.wakeup().subscribe();
    let note = UserEdit { note: Some("n".to_owned()), ..UserEdit::default() };
    users::modify(&panel, &root(), "ann", note).await.unwrap();
    assert_eq!(marks(&panel).await, 0, "nodes do not need the note");
    let services = UserEdit { service_ids: Some(vec![ServiceId(2)]), ..UserEdit::default() };
    users::modify(&panel, &root(), "ann", services).await.unwrap();
    assert_eq!(marks(&panel).await, 1, "nodes need the services");
    wakeups.wait().await;
    execute(&db, "DELETE FROM user_change").await;
    users::disable(&panel, &root(), "ann").await.unwrap();
    assert_eq!(marks(&panel).await, 1);
    execute(&db, "DELETE FROM user_change").await;
    users::revoke_subscription(&panel, &root(), "ann").await.unwrap();
    assert_eq!(marks(&panel).await, 0, "the nodes do not have a disabled user");
    users::enable(&panel, &root(), "ann").await.unwrap();
    users::remove(&panel, &root(), "ann").await.unwrap();
    assert_eq!(marks(&panel).await, 1);
}

async fn new_key_advances_the_key_sequence(db: Db) {
    let panel = panel(&db).await;
    let before = known(&panel, named("ann")).await;
    known(&panel, named("bob")).await;
    let after = users::revoke_subscription(&panel, &root(), "ann").await.unwrap();
    assert_ne!(after.key, before.key);
    assert_eq!(after.sub_revoked_at, Some(NOW));
    users::revoke_subscription(&panel, &root(), "bob").await.unwrap();
    assert_eq!(number(&db, "SELECT key_change_seq FROM users WHERE username = 'ann'").await, 1);
    assert_eq!(number(&db, "SELECT key_change_seq FROM users WHERE username = 'bob'").await, 2);
    assert_eq!(number(&db, "SELECT seq FROM key_change").await, 2);
    assert_eq!(marks(&panel).await, 2);
}

async fn deleted_user_frees_the_name_but_not_the_key(db: Db) {
    let panel = panel(&db).await;
    let gone = known(&panel, NewUser { service_ids: vec![ServiceId(1)], ..named("ann") }).await;
    users::remove(&panel, &root(), "ann").await.unwrap();
    assert!(matches!(users::get(&panel, &root(), "ann").await, Err(UserError::NotFound)));
    assert!(matches!(users::remove(&panel, &root(), "ann").await, Err(UserError::NotFound)));
    let same_key = NewUser { key: Some(gone.key), ..named("ann") };
    assert!(matches!(users::create(&panel, &root(), same_key).await, Err(UserError::KeyTaken)));
    let second = users::create(&panel, &root(), named("ann")).await.unwrap();
    assert_ne!(second.id, gone.id);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users_services").await, 1, "the row keeps its services");
}

async fn enabling_twice_is_a_conflict(db: Db) {
    let panel = panel(&db).await;
    known(&panel, NewUser { expiry: Expiry::FixedDate(NOW.plus(-DAY)), ..named("old") }).await;
    assert!(matches!(users::enable(&panel, &root(), "old").await, Err(UserError::AlreadyEnabled)));
    let off = users::disable(&panel, &root(), "old").await.unwrap();
    assert!(!off.enabled && !off.activated);
    assert!(matches!(users::disable(&panel, &root(), "old").await, Err(UserError::AlreadyDisabled)));
    let on = users::enable(&panel, &root(), "old").await.unwrap();
    assert!(on.enabled && !on.activated, "an expired user is not sent to the nodes");
}

async fn reset_keeps_the_lifetime_traffic(db: Db) {
    let panel = panel(&db).await;
    known(&panel, NewUser { data_limit: Some(5), ..named("ann") }).await;
    execute(&db, "UPDATE user_traffic SET used_traffic = 5, lifetime_used_traffic = 8").await;
    execute(&db, "UPDATE users SET activated = FALSE").await;
    let ann = users::reset_traffic(&panel, &root(), "ann").await.unwrap();
    assert_eq!(ann, users::get(&panel, &root(), "ann").await.unwrap());
    assert_eq!((ann.used_traffic, ann.lifetime_used_traffic), (0, 8));
    assert_eq!((ann.traffic_reset_at, ann.activated), (Some(NOW), true));
    assert_eq!(marks(&panel).await, 1);
}

async fn admin_changes_own_users_only(db: Db) {
    let panel = panel(&db).await;
    known(&panel, named("roots")).await;
    users::create(&panel, &alice(), named("alices")).await.unwrap();
    assert!(users::get(&panel, &alice(), "alices").await.is_ok());
    assert!(users::get(&panel, &root(), "alices").await.is_ok());
    for name in ["roots", "nope"] {
        assert!(matches!(users::get(&panel, &alice(), name).await, Err(UserError::Forbidden)), "{name}");
        assert!(matches!(users::remove(&panel, &alice(), name).await, Err(UserError::Forbidden)), "{name}");
    }
    execute(&db, "UPDATE users SET owner_id = NULL WHERE username = 'roots'").await;
    assert!(matches!(users::get(&panel, &alice(), "roots").await, Err(UserError::Forbidden)));
    assert_eq!(users::get(&panel, &root(), "roots").await.unwrap().owner, None);
}

async fn admin_assigns_only_own_services(db: Db) {
    let panel = panel(&db).await;
    let wanted = vec![ServiceId(2), ServiceId(3)];
    let made = users::create(&panel, &alice(), NewUser { service_ids: wanted.clone(), ..named("ann") }).await.unwrap();
    assert_eq!(made.service_ids, [ServiceId(2)]);
    let edit = UserEdit { service_ids: Some(vec![ServiceId(1), ServiceId(3)]), ..UserEdit::default() };
    assert_eq!(users::modify(&panel, &alice(), "ann", edit).await.unwrap().service_ids, [ServiceId(1)]);
    let trusted = Admin { all_services_access: true, ..alice() };
    let edit = UserEdit { service_ids: Some(wanted.clone()), ..UserEdit::default() };
    assert_eq!(users::modify(&panel, &trusted, "ann", edit).await.unwrap().service_ids, wanted);
}

async fn admin_without_modify_right_may_only_create(db: Db) {
    let panel = panel(&db).await;
    users::create(&panel, &carol(), named("ann")).await.unwrap();
    assert!(users::get(&panel, &carol(), "ann").await.is_ok());
    for refused in [
        users::modify(&panel, &carol(), "ann", UserEdit::default()).await,
        users::enable(&panel, &carol(), "ann").await,
        users::disable(&panel, &carol(), "ann").await,
        users::reset_traffic(&panel, &carol(), "ann").await,
        users::revoke_subscription(&panel, &carol(), "ann").await,
        users::remove(&panel, &carol(), "ann").await,
    ] {
        assert!(matches!(refused, Err(UserError::Forbidden)));
    }
    assert!(matches!(bulk::remove_expired(&panel, &carol(), 0).await, Err(UserError::Forbidden)));
}

async fn sudo_admin_sets_another_owner(db: Db) {
    let panel = panel(&db).await;
    known(&panel, named("ann")).await;
    let ann = users::set_owner(&panel, &root(), "ann", "alice").await.unwrap();
    assert_eq!(ann.owner.map(|owner| owner.id), Some(AdminId(2)));
    assert!(users::get(&panel, &alice(), "ann").await.is_ok());
    assert!(matches!(users::set_owner(&panel, &root(), "ann", "zzz").await, Err(UserError::NoSuchAdmin)));
    assert!(matches!(users::set_owner(&panel, &root(), "nope", "alice").await, Err(UserError::NotFound)));
}

async fn expired_own_users_are_removed_in_chunks(db: Db) {
    let panel = panel(&db).await;
    let ends = |seconds: i64| Expiry::FixedDate(NOW.plus(-seconds * SECOND));
    users::create(&panel, &alice(), NewUser { expiry: ends(100), ..named("alices") }).await.unwrap();
    known(&panel, NewUser { expiry: ends(100), ..named("old") }).await;
    known(&panel, NewUser { expiry: ends(99), ..named("younger") }).await;
    known(&panel, named("forever")).await;
    assert!(matches!(bulk::remove_expired(&panel, &root(), 101).await, Err(UserError::NoneExpired)));
    assert!(matches!(bulk::remove_expired(&panel, &root(), i64::MAX).await, Err(UserError::NoneExpired)));
    assert_eq!(bulk::remove_expired(&panel, &alice(), 100).await.unwrap(), 1);
    assert!(users::get(&panel, &root(), "old").await.is_ok(), "she does not own it");
    assert_eq!(bulk::remove_expired(&panel, &root(), 100).await.unwrap(), 1);
    assert!(users::get(&panel, &root(), "younger").await.is_ok());
    assert_eq!(marks(&panel).await, 2, "the nodes had both");
    // The request has read an admin that was a sudo admin then.
    execute(&db, "UPDATE admins SET is_sudo = FALSE WHERE username = 'root'").await;
    assert!(matches!(bulk::remove_expired(&panel, &root(), 0).await, Err(UserError::Forbidden)));
    execute(&db, "UPDATE admins SET is_sudo = TRUE WHERE username = 'root'").await;
    // More than one chunk.
    execute(&db, "DELETE FROM user_change").await;
    execute(
        &db,
        "INSERT INTO users (username, key, expire_strategy, expire_date, activated, created_at)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2300)
         SELECT 'many' || i, 'many' || i, 'fixed_date', i, FALSE, 0 FROM n",
    )
    .await;
    assert_eq!(bulk::remove_expired(&panel, &root(), 0).await.unwrap(), 2301);
    assert_eq!(marks(&panel).await, 1, "only the one that the nodes had");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE removed = FALSE").await, 1);
}

async fn reset_of_all_activates_limited_users(db: Db) {
    let panel = panel(&db).await;
    let limited = |name| NewUser { data_limit: Some(5), ..named(name) };
    known(&panel, limited("limited")).await;
    known(&panel, NewUser { expiry: Expiry::FixedDate(NOW.plus(-1)), ..limited("expired") }).await;
    known(&panel, limited("off")).await;
    users::create(&panel, &alice(), limited("alices")).await.unwrap();
    execute(&db, "UPDATE user_traffic SET used_traffic = 9, lifetime_used_traffic = 9").await;
    execute(&db, "UPDATE users SET activated = FALSE, enabled = (username <> 'off')").await;
    execute(&db, "DELETE FROM user_change").await;
    execute(&db, "UPDATE admins SET is_sudo = FALSE WHERE username = 'root'").await;
    assert!(matches!(bulk::reset_own(&panel, &root()).await, Err(UserError::Forbidden)), "it is none any more");
    execute(&db, "UPDATE admins SET is_sudo = TRUE WHERE username = 'root'").await;
    bulk::reset_own(&panel, &root()).await.unwrap();
    assert!(users::get(&panel, &root(), "limited").await.unwrap().activated);
    for name in ["expired", "off"] {
        let user = users::get(&panel, &root(), name).await.unwrap();
        assert_eq!((user.used_traffic, user.lifetime_used_traffic, user.activated), (0, 9, false), "{name}");
    }
    assert_eq!(users::get(&panel, &root(), "alices").await.unwrap().used_traffic, 9, "he does not own it");
    assert_eq!(marks(&panel).await, 1);
}

async fn all_users_of_an_admin_are_disabled_and_enabled(db: Db) {
    let panel = panel(&db).await;
    known(&panel, named("roots")).await;
    users::create(&panel, &alice(), NewUser { expiry: Expiry::FixedDate(NOW.plus(-1)), ..named("expired") })
        .await
        .unwrap();
    users::create(&panel, &alice(), NewUser { data_limit: Some(5), ..named("limited") }).await.unwrap();
    // More than two chunks.
    execute(
        &db,
        "INSERT INTO users (username, key, owner_id, expire_strategy, created_at)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2300)
         SELECT 'many' || i, 'many' || i, 2, 'never', 0 FROM n;
         INSERT INTO user_traffic (user_id, created_at) SELECT id, 0 FROM users WHERE username LIKE 'many%';
         UPDATE users SET activated = FALSE WHERE username IN ('expired', 'many7');
         UPDATE user_traffic SET used_traffic = 9;
         DELETE FROM user_change",
    )
    .await;
    bulk::set_enabled(&panel, Actor::Operator, &alice(), false).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE enabled OR activated").await, 1, "only root's own");
    assert_eq!(marks(&panel).await, 2300, "those that the nodes had");

    execute(&db, "DELETE FROM user_change").await;
    bulk::set_enabled(&panel, Actor::Operator, &alice(), false).await.unwrap();
    assert_eq!(marks(&panel).await, 0, "no user changed");

    // The request has read an admin that is a sudo admin by now.
    execute(&db, "UPDATE admins SET is_sudo = TRUE WHERE username = 'alice'").await;
    let refused = bulk::set_enabled(&panel, Actor::Admin(&root()), &alice(), true).await;
    assert!(matches!(refused, Err(UserError::Forbidden)), "{refused:?}");
    execute(&db, "UPDATE admins SET is_sudo = FALSE WHERE username = 'alice'").await;
    let later = Admin { id: AdminId(9), ..alice() };
    let refused = bulk::set_enabled(&panel, Actor::Operator, &later, true).await;
    assert!(matches!(refused, Err(UserError::NotFound)), "another admin has this name now: {refused:?}");

    bulk::set_enabled(&panel, Actor::Operator, &alice(), true).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE NOT enabled").await, 0);
    assert_eq!(
        number(&db, "SELECT COUNT(*) FROM users WHERE NOT activated AND username IN ('expired', 'limited')").await,
        2,
        "expired and limited users stay inactive"
    );
    assert_eq!(marks(&panel).await, 2300);
}
