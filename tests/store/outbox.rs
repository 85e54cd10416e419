//! The outbox: each notification once per destination, in order, in the transaction that causes it.

use sarban::actions::notification_targets::{Environment, LiveTargets};
use sarban::actions::users::{self, UserError};
use sarban::actions::{Panel, notifications};
use sarban::domain::moment::DAY;
use sarban::domain::notification::{By, Channel, Destination, Event, Notification, NotificationTargets};
use sarban::domain::user::edit::UserEdit;
use sarban::domain::user::{Expiry, User};
use sarban::store::Db;
use sarban::store::notify::outbox;

use super::users::{NOW, alice, named, panel, root};
use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    changes_by_admins_enter_notifications,
    edit_that_deactivates_an_account_enters_two_notifications,
    refused_change_enters_no_notification,
    cause_is_entered_once_per_destination,
    notifications_are_entered_in_order,
    nothing_is_entered_without_destinations,
}

const ROWS: &str = "SELECT COUNT(*) FROM outbox";

/// A panel with a webhook, and a user `ann`.
async fn panel_with_webhook(db: &Db) -> Panel {
    let environment = Environment {
        webhook: Some(Destination::webhook()),
        telegram: None,
        without_telegram: false,
        url_prefix: "https://panel.example".to_owned(),
    };
    Panel { targets: LiveTargets::new(environment), ..panel(db).await }
}

async fn changes_by_admins_enter_notifications(db: Db) {
    let panel = panel_with_webhook(&db).await;
    let root = root();
    let user = users::create(&panel, &root, named("ann")).await.unwrap();
    users::disable(&panel, &root, "ann").await.unwrap();
    users::enable(&panel, &root, "ann").await.unwrap();
    users::reset_traffic(&panel, &root, "ann").await.unwrap();
    users::revoke_subscription(&panel, &root, "ann").await.unwrap();
    users::modify(&panel, &root, "ann", UserEdit::default()).await.unwrap();
    users::set_owner(&panel, &root, "ann", "alice").await.unwrap();
    users::remove(&panel, &root, "ann").await.unwrap();
    let entries = outbox::page(&db, &outbox::Filter::default(), 0, 100).await.unwrap();
    let actions: Vec<&str> = entries.iter().rev().map(|row| row.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "user_created",
            "user_disabled",
            "user_enabled",
            "data_usage_reset",
            "subscription_revoked",
            "user_updated",
            "user_deleted"
        ]
    );
    let last: serde_json::Value = serde_json::from_str(&entries[0].payload).unwrap();
    assert_eq!((&last["user"]["username"], &last["user"]["activated"]), (&"ann".into(), &false.into()));
    assert_eq!(last["by"]["username"], "root");
    let first: serde_json::Value = serde_json::from_str(&entries[6].payload).unwrap();
    assert_eq!(first["user"]["subscription_url"], format!("https://panel.example/sub/ann/{}", user.key));
}

async fn edit_that_deactivates_an_account_enters_two_notifications(db: Db) {
    let panel = panel_with_webhook(&db).await;
    users::create(&panel, &root(), named("ann")).await.unwrap();
    for end in [NOW.plus(-DAY), NOW.plus(DAY)] {
        let edit = UserEdit { expiry: Expiry::FixedDate(end).into(), ..UserEdit::default() };
        users::modify(&panel, &root(), "ann", edit).await.unwrap();
    }
    let entries = outbox::page(&db, &outbox::Filter::default(), 0, 100).await.unwrap();
    let actions: Vec<&str> = entries.iter().rev().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["user_created", "user_updated", "user_deactivated", "user_updated", "user_activated"]);
}

async fn refused_change_enters_no_notification(db: Db) {
    let panel = panel_with_webhook(&db).await;
    users::create(&panel, &root(), named("ann")).await.unwrap();
    assert!(matches!(users::create(&panel, &root(), named("ann")).await, Err(UserError::NameTaken)));
    assert!(matches!(users::enable(&panel, &root(), "ann").await, Err(UserError::AlreadyEnabled)));
    assert!(matches!(users::remove(&panel, &alice(), "ann").await, Err(UserError::Forbidden)));
    assert_eq!(number(&db, ROWS).await, 1);
}

async fn enter(db: &Db, to: &[Destination], notifications: &[Notification]) -> u64 {
    let mut tx = db.begin().await.unwrap();
    let entered = outbox::enter(&mut tx, to, notifications, NOW).await.unwrap();
    tx.commit().await.unwrap();
    entered
}

fn notification(user: &User, event: Event, cause: &str) -> Notification {
    notifications::notification(&NotificationTargets::default(), event, user.clone(), cause, By::Nobody, NOW)
}

async fn cause_is_entered_once_per_destination(db: Db) {
    let user = users::create(&panel(&db).await, &root(), named("ann")).await.unwrap();
    let soon = notification(&user, Event::ReachedDaysLeft, "1");
    assert_eq!(enter(&db, &[Destination::webhook()], std::slice::from_ref(&soon)).await, 1);
    assert_eq!(enter(&db, &[Destination::webhook(), Destination::telegram(-7)], std::slice::from_ref(&soon)).await, 1);
    execute(&db, "UPDATE outbox SET state = 'delivered'").await;
    assert_eq!(enter(&db, &[Destination::webhook(), Destination::telegram(-7)], &[soon.clone(), soon]).await, 0);
    assert_eq!(enter(&db, &[Destination::webhook()], &[notification(&user, Event::ReachedDaysLeft, "2")]).await, 1);
}

async fn notifications_are_entered_in_order(db: Db) {
    let user = users::create(&panel(&db).await, &root(), named("ann")).await.unwrap();
    let many: Vec<Notification> = (0..50).map(|nth| notification(&user, Event::Updated, &nth.to_string())).collect();
    assert_eq!(enter(&db, &[Destination::webhook(), Destination::telegram(-7)], &many).await, 100);
    let entries = outbox::page(&db, &outbox::Filter { channel: Some(Channel::Telegram), state: None }, 0, 100).await;
    let causes: Vec<String> = entries.unwrap().into_iter().rev().map(|row| row.cause).collect();
    assert_eq!(causes, many.iter().map(|notification| notification.cause.clone()).collect::<Vec<_>>());
}

async fn nothing_is_entered_without_destinations(db: Db) {
    let panel = panel(&db).await;
    users::create(&panel, &root(), named("ann")).await.unwrap();
    assert_eq!(number(&db, ROWS).await, 0);
}
