//! The task `review_admins`: each effect of a quota once, decided from the data, and nothing under an old epoch.

use sarban::actions::admins::Actor;
use sarban::actions::users::UserError;
use sarban::actions::users::bulk_change::{self, Selection, Wanted};
use sarban::actions::{Panel, quotas, users};
use sarban::clock::Clock;
use sarban::domain::admin::Admin;
use sarban::domain::ids::{NodeId, UserId};
use sarban::domain::moment::{DAY, HOUR, Moment};
use sarban::domain::quota::{Quota, WhenUsedUp};
use sarban::domain::schedule::Task;
use sarban::domain::usage::UsageReply;
use sarban::domain::user::ResetStrategy;
use sarban::domain::user::bulk::BulkChange;
use sarban::store::access::admins;
use sarban::store::access::quotas::disabled;
use sarban::store::notify::outbox;
use sarban::store::usage::batches;
use sarban::store::{Db, IdList, OpenOptions};
use serde_json::Value;
use uuid::Uuid;

use crate::scheduler::task::{Leader, webhook};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(
    used_up_traffic_disables_the_users_until_it_is_reset,
    user_disabled_by_hand_stays_disabled_and_one_who_leaves_is_enabled,
    users_that_come_back_by_themselves_count_as_active,
    another_reset_strategy_gives_no_traffic_back,
    users_disabled_by_hand_after_a_quota_are_entered,
    period_begins_once_even_when_late,
    threshold_is_notified_once_per_period,
    two_leaders_at_once_do_each_effect_once,
    active_users_are_counted_only_where_that_can_matter,
    all_users_are_disabled_by_hand_part_by_part
);

const AT: Moment = Moment::from_micros(500_000 * HOUR);
const QUOTA: Quota = Quota { traffic: Some(100), when_used_up: WhenUsedUp::Disable, ..Quota::NONE };
const ENABLED: &str = "SELECT COUNT(*) FROM users WHERE owner_id = 5 AND enabled = TRUE";

/// Admin 5 with the users 1 to 3, of whom 3 is disabled, and admin 6.
async fn panel(db: &Db, quota: Quota) -> Panel {
    execute(
        db,
        "INSERT INTO admins (id, username, hashed_password, is_sudo, modify_users_access, created_at) VALUES
            (5, 'eve', '', FALSE, TRUE, 0), (6, 'bob', '', TRUE, TRUE, 0);
         INSERT INTO users (id, username, key, owner_id, expire_strategy, enabled, activated, created_at) VALUES
            (1, 'ann', 'a', 5, 'never', TRUE, TRUE, 0), (2, 'ben', 'b', 5, 'never', TRUE, TRUE, 0),
            (3, 'off', 'c', 5, 'never', FALSE, FALSE, 0), (4, 'other', 'd', 6, 'never', TRUE, TRUE, 0);
         INSERT INTO user_traffic (user_id, created_at) VALUES (1, 0), (2, 0), (3, 0), (4, 0)",
    )
    .await;
    let panel = Panel::new(db.clone(), Clock::fixed(AT));
    quotas::set(&panel, Actor::Operator, "eve", &quota).await.unwrap();
    panel
}

async fn admin(db: &Db, name: &str) -> Admin {
    admins::by_username(db, name).await.unwrap().unwrap()
}

/// Records traffic of the users 1 and 4.
async fn spend(leader: &mut Leader, db: &Db, at: Moment, bytes: u64) {
    let reply = UsageReply::new(NodeId(1), at, 1.0, [(UserId(1), bytes), (UserId(4), 1_000)]);
    batches::stage(db, Uuid::now_v7(), &reply).await.unwrap();
    leader.run(Task::RecordUserUsages, at).await.unwrap();
}

async fn used_up_traffic_disables_the_users_until_it_is_reset(db: Db) {
    let panel = panel(&db, QUOTA).await;
    let mut leader = Leader::with_notifications(&db).await;
    spend(&mut leader, &db, AT, 99).await;
    execute(&db, "DELETE FROM outbox; DELETE FROM user_change").await;
    assert_eq!(number(&db, ENABLED).await, 2);
    spend(&mut leader, &db, AT.plus(1), 1).await;
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(2)).await.unwrap(), 3, "two users, and a notification");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE enabled = TRUE OR activated = TRUE").await, 1, "bob's");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change WHERE user_id IN (1, 2)").await, 2, "nodes learn of it");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM outbox WHERE action = 'user_disabled'").await, 2);
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(3)).await.unwrap(), 0, "each effect once");
    let state = quotas::of(&panel, "eve").await.unwrap();
    assert_eq!(
        (state.disabled_users, state.used.traffic, state.used.active_users),
        (2, 100, 2),
        "they keep their places"
    );

    // Less than the use does not free them, and is refused.
    let lower = Quota { traffic: Some(99), ..QUOTA };
    assert!(quotas::set(&panel, Actor::Operator, "eve", &lower).await.is_err());
    quotas::reset(&panel, Actor::Operator, "eve").await.unwrap();
    execute(&db, "DELETE FROM user_change").await;
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(4)).await.unwrap(), 2);
    assert_eq!(number(&db, ENABLED).await, 2, "the user who was disabled by hand stays so");
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE owner_id = 5 AND activated = TRUE").await, 2);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change").await, 2);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM quota_disabled_user").await, 0);
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(5)).await.unwrap(), 0);
    let entries = "SELECT COUNT(*) FROM audit_entry WHERE actor = 'task' AND action IN ('user.disable', 'user.enable')";
    assert_eq!(number(&db, entries).await, 2);

    // Raised instead of reset.
    spend(&mut leader, &db, AT.plus(6), 100).await;
    leader.run(Task::ReviewAdmins, AT.plus(7)).await.unwrap();
    assert_eq!(number(&db, ENABLED).await, 0);
    quotas::set(&panel, Actor::Operator, "eve", &Quota { traffic: Some(101), ..QUOTA }).await.unwrap();
    leader.run(Task::ReviewAdmins, AT.plus(8)).await.unwrap();
    assert_eq!(number(&db, ENABLED).await, 2);
}

async fn users_that_come_back_by_themselves_count_as_active(db: Db) {
    let panel = panel(&db, Quota { active_users: Some(2), ..QUOTA }).await;
    let (eve, bob) = (admin(&db, "eve").await, admin(&db, "bob").await);
    let mut leader = Leader::new(&db).await;
    let expired = "UPDATE users SET expire_strategy = 'fixed_date', expire_date = 1, enabled = TRUE WHERE id IN (3, 4)";
    execute(&db, expired).await;
    execute(&db, "UPDATE users SET owner_id = 5 WHERE id = 4").await;
    spend(&mut leader, &db, AT, 100).await;
    leader.run(Task::ReviewAdmins, AT.plus(1)).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM quota_disabled_user").await, 4, "also those that have expired");
    let extend = async |admin: &Admin, ids: &[i64]| {
        let selection = Selection::Ids(IdList::new(ids.iter().copied()));
        let wanted = Wanted::Change(BulkChange::Extend(30 * 86_400));
        bulk_change::change(&panel, admin, None, selection, wanted).await
    };
    for by in [&eve, &bob] {
        let refused = extend(by, &[3, 4]).await;
        assert!(matches!(refused, Err(UserError::Quota(_))), "{refused:?}");
    }
    // In the place of one that leaves; and wherever they come to.
    quotas::set(&panel, Actor::Operator, "bob", &Quota { active_users: Some(1), ..Quota::NONE }).await.unwrap();
    users::set_owner(&panel, &bob, "ann", "bob").await.unwrap();
    assert_eq!(extend(&bob, &[3]).await.unwrap().changed, 1);
    let second = users::set_owner(&panel, &bob, "ben", "bob").await;
    assert!(matches!(second, Err(UserError::Quota(_))), "{second:?}");
    quotas::reset(&panel, Actor::Operator, "eve").await.unwrap();
    leader.run(Task::ReviewAdmins, AT.plus(2)).await.unwrap();
    assert_eq!(quotas::of(&panel, "eve").await.unwrap().used.active_users, 2);
}

async fn users_disabled_by_hand_after_a_quota_are_entered(db: Db) {
    let panel = panel(&db, QUOTA).await;
    let mut leader = Leader::new(&db).await;
    spend(&mut leader, &db, AT, 100).await;
    leader.run(Task::ReviewAdmins, AT.plus(1)).await.unwrap();
    let eve = admin(&db, "eve").await;
    let disable = async || {
        let selection = Selection::Ids(IdList::new([1, 2, 3]));
        bulk_change::change(&panel, &eve, None, selection, Wanted::Change(BulkChange::Disable)).await.unwrap()
    };
    let entered = "SELECT COUNT(*) FROM audit_entry WHERE action = 'user.disable' AND objects = 2 AND actor <> 'task'";
    assert_eq!((disable().await.changed, number(&db, entered).await), (2, 1), "they stay disabled from now on");
    assert_eq!((disable().await.changed, number(&db, entered).await), (0, 1));
}

async fn another_reset_strategy_gives_no_traffic_back(db: Db) {
    let early = panel(&db, QUOTA).await;
    let mut leader = Leader::new(&db).await;
    spend(&mut leader, &db, AT, 100).await;
    leader.run(Task::ReviewAdmins, AT.plus(1)).await.unwrap();
    let later = AT.plus(90 * DAY);
    let panel = Panel::new(db.clone(), Clock::fixed(later));
    let monthly = Quota { traffic_reset_strategy: ResetStrategy::Month, ..QUOTA };
    let state = quotas::set(&panel, Actor::Operator, "eve", &monthly).await.unwrap();
    assert_eq!((state.used.traffic, state.next_reset_at), (100, Some(later.plus(30 * DAY))));
    leader.run(Task::ReviewAdmins, later.plus(1)).await.unwrap();
    assert_eq!(quotas::of(&panel, "eve").await.unwrap().used.traffic, 100);
    assert_eq!(number(&db, ENABLED).await, 0);
    leader.run(Task::ReviewAdmins, later.plus(30 * DAY)).await.unwrap();
    assert_eq!(quotas::of(&early, "eve").await.unwrap().used.traffic, 0);
}

async fn user_disabled_by_hand_stays_disabled_and_one_who_leaves_is_enabled(db: Db) {
    let panel = panel(&db, QUOTA).await;
    let bob = admins::by_username(&db, "bob").await.unwrap().unwrap();
    let mut leader = Leader::new(&db).await;
    spend(&mut leader, &db, AT, 100).await;
    leader.run(Task::ReviewAdmins, AT.plus(1)).await.unwrap();
    assert!(users::enable(&panel, &bob, "ann").await.is_err(), "the traffic is used up");
    users::disable(&panel, &bob, "ann").await.expect("disabled by hand, too");
    assert!(users::disable(&panel, &bob, "ann").await.is_err(), "and only once");
    users::set_owner(&panel, &bob, "ben", "bob").await.unwrap();
    leader.run(Task::ReviewAdmins, AT.plus(2)).await.unwrap();
    let ben = "SELECT COUNT(*) FROM users WHERE id = 2 AND enabled = TRUE AND activated = TRUE";
    assert_eq!(number(&db, ben).await, 1, "bob's traffic is not used up");
    quotas::set(&panel, Actor::Operator, "eve", &Quota::NONE).await.unwrap();
    leader.run(Task::ReviewAdmins, AT.plus(3)).await.unwrap();
    assert_eq!((number(&db, ENABLED).await, number(&db, "SELECT COUNT(*) FROM quota_disabled_user").await), (0, 0));
}

async fn period_begins_once_even_when_late(db: Db) {
    let quota = Quota { traffic_reset_strategy: ResetStrategy::Month, ..QUOTA };
    let panel = panel(&db, quota).await;
    let mut leader = Leader::new(&db).await;
    spend(&mut leader, &db, AT, 100).await;
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(30 * DAY - 1)).await.unwrap(), 2);
    // A week late.
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(37 * DAY)).await.unwrap(), 3, "the period, and two users");
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(37 * DAY)).await.unwrap(), 0);
    let state = quotas::of(&panel, "eve").await.unwrap();
    assert_eq!((state.used.traffic, state.counted_since), (0, Some(AT.plus(37 * DAY))));
    assert_eq!(state.next_reset_at, Some(AT.plus(67 * DAY)));
    assert_eq!(number(&db, "SELECT COUNT(*) FROM audit_entry WHERE action = 'admin.reset_quota'").await, 1);
}

async fn threshold_is_notified_once_per_period(db: Db) {
    let quota =
        Quota { users: Some(4), traffic_reset_strategy: ResetStrategy::Day, when_used_up: WhenUsedUp::Refuse, ..QUOTA };
    let panel = panel(&db, quota).await;
    let mut leader = Leader::with_notifications(&db).await;
    execute(&db, "DELETE FROM outbox").await;
    let notices = async || {
        let mut due = outbox::due(&db, &webhook(), Moment::MAX, 100).await.unwrap();
        due.retain(|entry| entry.action == "admin_quota_reached");
        execute(&db, "UPDATE outbox SET state = 'delivered', finished_at = 0").await;
        due.into_iter().map(|entry| serde_json::from_str::<Value>(&entry.payload).unwrap()).collect::<Vec<_>>()
    };
    spend(&mut leader, &db, AT, 79).await;
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(1)).await.unwrap(), 0, "3 of 4 users are 75 percent");
    spend(&mut leader, &db, AT.plus(2), 1).await;
    leader.run(Task::ReviewAdmins, AT.plus(3)).await.unwrap();
    let one = notices().await;
    assert_eq!((one.len(), &one[0]["admin"]["username"], &one[0]["quota"]), (1, &"eve".into(), &"traffic".into()));
    assert_eq!((&one[0]["percent"], &one[0]["used"], &one[0]["limit"]), (&80.into(), &80.into(), &100.into()));
    leader.run(Task::ReviewAdmins, AT.plus(4)).await.unwrap();
    spend(&mut leader, &db, AT.plus(5), 5).await;
    leader.run(Task::ReviewAdmins, AT.plus(6)).await.unwrap();
    assert_eq!(notices().await.len(), 0, "once");
    spend(&mut leader, &db, AT.plus(7), 50).await;
    leader.run(Task::ReviewAdmins, AT.plus(8)).await.unwrap();
    assert_eq!(notices().await[0]["percent"], 100);
    leader.run(Task::ReviewAdmins, AT.plus(DAY)).await.unwrap();
    assert_eq!(notices().await.len(), 0);
    spend(&mut leader, &db, AT.plus(DAY + 1), 100).await;
    leader.run(Task::ReviewAdmins, AT.plus(DAY + 2)).await.unwrap();
    assert_eq!(notices().await[0]["percent"], 100, "a new period");
    assert_eq!(quotas::of(&panel, "eve").await.unwrap().disabled_users, 0, "this quota refuses only");
}

async fn two_leaders_at_once_do_each_effect_once(options: OpenOptions) {
    let (here, there) = (Db::open(&options).await.unwrap(), Db::open(&options).await.unwrap());
    panel(&here, QUOTA).await;
    let mut old = Leader::with_notifications(&here).await;
    spend(&mut old, &here, AT, 100).await;
    execute(&here, "DELETE FROM outbox").await;
    let mut new = Leader::with_notifications(&there).await;
    let (deposed, done) =
        tokio::join!(old.run(Task::ReviewAdmins, AT.plus(1)), new.run(Task::ReviewAdmins, AT.plus(1)));
    assert!(deposed.is_err(), "its epoch is over: {deposed:?}");
    assert_eq!(done.unwrap(), 3, "two users, and a notification");
    assert_eq!(number(&here, "SELECT COUNT(*) FROM outbox WHERE action = 'admin_quota_reached'").await, 1);
    assert_eq!(number(&here, "SELECT COUNT(*) FROM outbox WHERE action = 'user_disabled'").await, 2);
    assert_eq!(number(&here, "SELECT COUNT(*) FROM quota_disabled_user").await, 2);
}

async fn active_users_are_counted_only_where_that_can_matter(db: Db) {
    let panel = panel(&db, QUOTA).await;
    let mut leader = Leader::with_notifications(&db).await;
    // Counting them needs this table, and nothing else in the run does.
    execute(&db, "ALTER TABLE user_traffic RENAME TO hidden_traffic").await;
    leader.run(Task::ReviewAdmins, AT.plus(1)).await.expect("a quota of traffic only");
    execute(&db, "UPDATE admin_quota SET active_users = 4").await;
    leader.run(Task::ReviewAdmins, AT.plus(2)).await.expect("all three users are three quarters");
    execute(&db, "UPDATE admin_quota SET active_users = 2, notified_active_users = 100").await;
    leader.run(Task::ReviewAdmins, AT.plus(3)).await.expect("nothing is left to notify of");
    execute(&db, "ALTER TABLE hidden_traffic RENAME TO user_traffic").await;
    execute(&db, "UPDATE admin_quota SET notified_active_users = 0").await;
    assert_eq!(leader.run(Task::ReviewAdmins, AT.plus(4)).await.unwrap(), 1, "two of two are active");
    assert_eq!(number(&db, "SELECT notified_active_users FROM admin_quota").await, 100);
    drop(panel);
}

async fn all_users_are_disabled_by_hand_part_by_part(db: Db) {
    let panel = panel(&db, QUOTA).await;
    let mut leader = Leader::new(&db).await;
    spend(&mut leader, &db, AT, 100).await;
    leader.run(Task::ReviewAdmins, AT.plus(1)).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM quota_disabled_user").await, 2);
    // Those whom the quota disabled are taken as well, in parts.
    let mut tx = db.begin().await.unwrap();
    let eve = admins::by_username(&db, "eve").await.unwrap().unwrap();
    let part = disabled::lock_to_disable(&mut tx, eve.id, UserId(0), 1).await.unwrap();
    let rest = disabled::lock_to_disable(&mut tx, eve.id, UserId(1), 10).await.unwrap();
    assert_eq!((part.as_slice(), rest.as_slice()), (&[1][..], &[2][..]), "3 is disabled by hand already");
    tx.rollback().await.unwrap();
    users::bulk::set_enabled(&panel, Actor::Operator, &eve, false).await.unwrap();
    assert_eq!(number(&db, "SELECT COUNT(*) FROM quota_disabled_user").await, 0);
    quotas::reset(&panel, Actor::Operator, "eve").await.unwrap();
    leader.run(Task::ReviewAdmins, AT.plus(2)).await.unwrap();
    assert_eq!(number(&db, ENABLED).await, 0, "they stay disabled");
}
