//! Marks of changed users: one per user, renewed by every change, only for existing users.

use sarban::domain::moment::Moment;
use sarban::store::users::changes;
use sarban::store::{Db, IdList};

use crate::support::database::{execute, number, on_both_engines};

on_both_engines! {
    only_the_named_users_are_marked,
    second_change_renews_the_mark,
    rolled_back_change_leaves_no_mark,
}

const USERS: &str = "INSERT INTO users (id, username, key, expire_strategy, created_at)
    VALUES (1, 'ann', 'a', 'never', 0), (2, 'bob', 'b', 'never', 0), (3, 'cid', 'c', 'never', 0)";
const MARKED: &str = "SELECT COUNT(*) FROM user_change";

async fn mark(db: &Db, ids: impl IntoIterator<Item = i64>, now: i64) {
    let mut tx = db.begin().await.unwrap();
    changes::mark(&mut tx, IdList::new(ids), Moment::from_micros(now)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn only_the_named_users_are_marked(db: Db) {
    execute(&db, USERS).await;
    mark(&db, [3, 1], 70).await;
    assert_eq!(number(&db, MARKED).await, 2);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM user_change WHERE user_id IN (1, 3) AND changed_at = 70").await, 2);
    mark(&db, [], 71).await;
    assert_eq!(number(&db, MARKED).await, 2);
}

async fn second_change_renews_the_mark(db: Db) {
    execute(&db, USERS).await;
    mark(&db, [1, 2], 70).await;
    execute(&db, "CREATE TABLE before_change AS SELECT user_id, change_id FROM user_change").await;
    mark(&db, [2, 3], 80).await;
    assert_eq!(number(&db, MARKED).await, 3);
    let same = "SELECT user_id FROM user_change JOIN before_change USING (user_id, change_id)";
    assert_eq!(number(&db, same).await, 1, "the mark of 1 stays, that of 2 is new");
    assert_eq!(number(&db, "SELECT changed_at FROM user_change WHERE user_id = 2").await, 80);
}

async fn rolled_back_change_leaves_no_mark(db: Db) {
    execute(&db, USERS).await;
    let mut tx = db.begin().await.unwrap();
    changes::mark(&mut tx, IdList::new([1]), Moment::from_micros(70)).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(number(&db, MARKED).await, 0);
}
