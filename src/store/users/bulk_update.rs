//! Updates many locked users at once, each from one state to another: a statement per table, whatever the number of users.

use serde_json::{Value, json};
use sqlx::query_scalar;

use crate::domain::moment::Moment;
use crate::domain::user::User;
use crate::store::engine::statement::{db_execute, db_run, statements};
use crate::store::engine::{StoreError, Tx};
use crate::store::usage::traffic_writers;

statements! {
    ACCOUNTS =>
        pg "UPDATE users AS u SET username = n.username, key = n.key, owner_id = n.owner_id, enabled = n.enabled,
                activated = n.activated, removed = n.removed, expire_date = n.expire_date,
                usage_duration = n.usage_duration, edit_at = n.edit_at, sub_revoked_at = n.sub_revoked_at
            FROM json_to_recordset(CAST($1 AS JSON)) AS n (id BIGINT, username TEXT, key TEXT, owner_id BIGINT,
                enabled BOOLEAN, activated BOOLEAN, removed BOOLEAN, expire_date BIGINT, usage_duration BIGINT,
                edit_at BIGINT, sub_revoked_at BIGINT)
            WHERE u.id = n.id",
        lite "UPDATE users SET username = n.value ->> 'username', key = n.value ->> 'key',
                owner_id = n.value ->> 'owner_id', enabled = n.value ->> 'enabled',
                activated = n.value ->> 'activated', removed = n.value ->> 'removed',
                expire_date = n.value ->> 'expire_date', usage_duration = n.value ->> 'usage_duration',
                edit_at = n.value ->> 'edit_at', sub_revoked_at = n.value ->> 'sub_revoked_at'
            FROM json_each($1) AS n WHERE users.id = CAST(n.value ->> 'id' AS INTEGER)";
    LIMITS =>
        pg "UPDATE user_traffic AS t SET data_limit = n.data_limit
            FROM json_to_recordset(CAST($1 AS JSON)) AS n (id BIGINT, data_limit BIGINT) WHERE t.user_id = n.id",
        lite "UPDATE user_traffic SET data_limit = n.value ->> 'data_limit'
            FROM json_each($1) AS n WHERE user_traffic.user_id = CAST(n.value ->> 'id' AS INTEGER)";
    RESETS =>
        pg "UPDATE user_traffic AS t SET used_traffic = 0, traffic_reset_at = n.at
            FROM json_to_recordset(CAST($1 AS JSON)) AS n (id BIGINT, at BIGINT) WHERE t.user_id = n.id",
        lite "UPDATE user_traffic SET used_traffic = 0, traffic_reset_at = n.value ->> 'at'
            FROM json_each($1) AS n WHERE user_traffic.user_id = CAST(n.value ->> 'id' AS INTEGER)";
    DROP_SERVICES =>
        pg "DELETE FROM users_services AS s
            USING json_to_recordset(CAST($1 AS JSON)) AS n (id BIGINT, service BIGINT)
            WHERE s.user_id = n.id AND s.service_id = n.service",
        lite "DELETE FROM users_services WHERE (user_id, service_id) IN
            (SELECT value ->> 'id', value ->> 'service' FROM json_each($1))";
    ADD_SERVICES =>
        pg "INSERT INTO users_services (user_id, service_id)
            SELECT id, service FROM json_to_recordset(CAST($1 AS JSON)) AS n (id BIGINT, service BIGINT)
            ON CONFLICT DO NOTHING",
        lite "INSERT INTO users_services (user_id, service_id)
            SELECT value ->> 'id', value ->> 'service' FROM json_each($1) WHERE TRUE
            ON CONFLICT DO NOTHING";
    TICK_KEY_CHANGE = "UPDATE key_change SET seq = seq + 1 WHERE id = 1 RETURNING seq";
    SET_KEY_CHANGES =>
        pg "UPDATE users SET key_change_seq = $2 WHERE id = ANY(ARRAY(SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST($1 AS JSON))))",
        lite "UPDATE users SET key_change_seq = $2 WHERE id IN (SELECT value FROM json_each($1))";
}

/// Updates locked users, ascending by id, from one state to another. Writes what a bulk change may alter: name, key,
/// owner, flags, the date or duration of the expiry, times of edits, data limit, a reset of used traffic, services.
/// Changed keys are recorded by the clock `key_change`, which stays locked until the end of the transaction, so call it
/// last, before marks only.
pub async fn update_all(tx: &mut Tx, changes: &[(User, User)]) -> Result<(), StoreError> {
    let list = |of: &dyn Fn(&User, &User) -> Vec<Value>| -> Option<String> {
        let list: Vec<Value> = changes.iter().flat_map(|(before, after)| of(before, after)).collect();
        (!list.is_empty()).then(|| Value::from(list).to_string())
    };
    if let Some(accounts) =
        list(&|before, after| (account(before) != account(after)).then(|| account(after)).into_iter().collect())
    {
        db_execute!(tx, ACCOUNTS, accounts)?;
    }
    let limits = list(&|before, after| {
        let changed = before.data_limit != after.data_limit;
        changed.then(|| json!({"id": after.id.0, "data_limit": after.data_limit})).into_iter().collect()
    });
    let resets = list(&|before, after| {
        let changed = before.traffic_reset_at != after.traffic_reset_at;
        let at = after.traffic_reset_at.map(Moment::micros);
        changed.then(|| json!({"id": after.id.0, "at": at})).into_iter().collect()
    });
    if limits.is_some() || resets.is_some() {
        traffic_writers::one_at_a_time(tx).await?;
    }
    if let Some(limits) = limits {
        db_execute!(tx, LIMITS, limits)?;
    }
    if let Some(resets) = resets {
        db_execute!(tx, RESETS, resets)?;
    }
    if let Some(dropped) = list(&|before, after| services_only_in(before, after)) {
        db_execute!(tx, DROP_SERVICES, dropped)?;
    }
    if let Some(added) = list(&|before, after| services_only_in(after, before)) {
        db_execute!(tx, ADD_SERVICES, added)?;
    }
    if let Some(keys) =
        list(&|before, after| (before.key != after.key).then(|| json!(after.id.0)).into_iter().collect())
    {
        let seq = db_run!(tx, TICK_KEY_CHANGE, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
        db_execute!(tx, SET_KEY_CHANGES, keys, seq)?;
    }
    Ok(())
}

/// The columns of `users` that a bulk change may alter.
fn account(user: &User) -> Value {
    let fields = user.expiry.fields().or(user.unused_expiry);
    json!({
        "id": user.id.0,
        "username": user.username,
        "key": user.key,
        "owner_id": user.owner.as_ref().map(|owner| owner.id.0),
        "enabled": user.enabled,
        "activated": user.activated,
        "removed": user.removed,
        "expire_date": fields.date.map(Moment::micros),
        "usage_duration": fields.duration,
        "edit_at": user.edit_at.map(Moment::micros),
        "sub_revoked_at": user.sub_revoked_at.map(Moment::micros),
    })
}

/// The services that one state of a user has and the other has not.
fn services_only_in(one: &User, other: &User) -> Vec<Value> {
    let only = one.service_ids.iter().filter(|id| !other.service_ids.contains(id));
    only.map(|id| json!({"id": one.id.0, "service": id.0})).collect()
}
