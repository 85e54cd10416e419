//! Adoption of users without an owner.

use sarban::actions::Panel;
use sarban::actions::admins::{self, Actor, NewAdmin};
use sarban::clock::Clock;
use sarban::config::secret::Secret;
use sarban::store::Db;

use crate::support::database::{execute, number, on_both_engines};

on_both_engines!(only_living_users_without_an_owner_are_adopted);

async fn only_living_users_without_an_owner_are_adopted(db: Db) {
    let panel = Panel::new(db.clone(), Clock::real());
    let first = admins::create(&panel, Actor::Operator, NewAdmin::usual("first", Secret::new("a"), false))
        .await
        .expect("an admin");
    execute(
        &db,
        "INSERT INTO users (username, key, owner_id, expire_strategy, created_at, removed) VALUES
            ('owned', 'k1', (SELECT id FROM admins), 'never', 0, FALSE),
            ('free', 'k2', NULL, 'never', 0, FALSE),
            ('too', 'k3', NULL, 'never', 0, FALSE),
            (NULL, 'k4', NULL, 'never', 0, TRUE)",
    )
    .await;
    let sudo = admins::create(&panel, Actor::Operator, NewAdmin::usual("sudo", Secret::new("a"), true))
        .await
        .expect("an admin");
    assert_eq!(admins::adopt_users(&panel, &sudo).await.expect("adopted"), 2);
    assert_eq!(admins::adopt_users(&panel, &first).await.expect("adopted"), 0);
    assert_eq!(
        number(&db, "SELECT COUNT(*) FROM users u JOIN admins a ON a.id = u.owner_id WHERE a.username = 'sudo'").await,
        2
    );
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE owner_id IS NULL AND removed = TRUE").await, 1);
}
