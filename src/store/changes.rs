//! `user_change`: which users may differ from what the nodes have. Whoever changes what a node should know about a
//! user marks it here in the same transaction; the leader's node supervisor clears the marks.

use sqlx::query;
use uuid::Uuid;

use super::{IdList, StoreError, Tx, run, statements};
use crate::domain::ids::{ServiceId, UserId};
use crate::domain::moment::Moment;

statements! {
    MARK =>
        pg "INSERT INTO user_change (user_id, change_id, changed_at) SELECT id, $2, $3 FROM UNNEST(CAST($1 AS BIGINT[])) AS ids (id)
            ON CONFLICT (user_id) DO UPDATE SET change_id = excluded.change_id, changed_at = excluded.changed_at",
        lite "INSERT INTO user_change (user_id, change_id, changed_at) SELECT value, $2, $3 FROM json_each($1) WHERE TRUE
            ON CONFLICT (user_id) DO UPDATE SET change_id = excluded.change_id, changed_at = excluded.changed_at";
    MARK_USERS_OF_SERVICE =
        "INSERT INTO user_change (user_id, change_id, changed_at)
         SELECT s.user_id, $2, $3 FROM users_services s JOIN users u ON u.id = s.user_id
         WHERE s.service_id = $1 AND s.user_id <= $4 AND u.activated = TRUE ORDER BY s.user_id
         ON CONFLICT (user_id) DO UPDATE SET change_id = excluded.change_id, changed_at = excluded.changed_at";
}

/// Marks users as changed. A mark that is already there gets a new id, so that whoever is sending the older state
/// will not clear it.
pub async fn mark(tx: &mut Tx, users: IdList, now: Moment) -> Result<(), StoreError> {
    let change_id = Uuid::now_v7();
    run!(tx, MARK, |sql, c| query(sql).bind(users).bind(change_id).bind(now.micros()).execute(c).await.map(drop))
}

/// Marks the activated users of a service, up to one of them: before its inbounds change, or before it goes.
pub async fn mark_users_of(tx: &mut Tx, service: ServiceId, up_to: UserId, now: Moment) -> Result<(), StoreError> {
    let change_id = Uuid::now_v7();
    run!(tx, MARK_USERS_OF_SERVICE, |sql, c| {
        query(sql).bind(service.0).bind(change_id).bind(now.micros()).bind(up_to.0).execute(c).await.map(drop)
    })
}
