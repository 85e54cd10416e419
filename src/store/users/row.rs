//! Every column of a user: how they are selected, read, inserted and updated. A new column of a user changes this file and
//! no other file of `store`.
//!
//! A user is read as one row of a join: the account, its traffic, its owner, its last fetch and its services.
//! SQLite can also return many users as one text. (sqlx copies each value of each row and passes each row from SQLite's
//! thread to the caller's, which costs more than finding the rows.)

use std::cmp::Ordering;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use sqlx::query_scalar;

use super::list_filter::UserSort;
use crate::domain::ids::{AdminId, ServiceId, UserId};
use crate::domain::moment::Moment;
use crate::domain::user::{Expiry, ExpiryFields, Owner, ResetStrategy, User};
use crate::store::engine::statement::{db_execute, db_run, row_in_order, statements};
use crate::store::engine::{IdList, StoreError, Tx};

/// All columns of a user, for [`user_joins`].
macro_rules! user_columns {
    (pg) => {
        $crate::store::users::row::user_columns!(@ "ARRAY(SELECT s.service_id FROM users_services s WHERE s.user_id = u.id)")
    };
    (lite) => {
        $crate::store::users::row::user_columns!(@ "(SELECT json_group_array(s.service_id) FROM users_services s WHERE s.user_id = u.id)")
    };
    // A text of JSON lists, parsed by `rows_in_text`. The rest of the query and ")" must follow.
    (lite text) => {
        concat!(
            "SELECT json_group_array(json_array(id, username, key, owner_id, owner_username, owner_prefix, enabled,
                    activated, removed, expire_strategy, expire_date, usage_duration, activation_deadline, data_limit,
                    data_limit_reset_strategy, used_traffic, lifetime_used_traffic, online_at, traffic_reset_at, note,
                    created_at, edit_at, sub_revoked_at, fetched_at, user_agent, json(services)))
             FROM (",
            $crate::store::users::row::user_columns!(lite)
        )
    };
    (@ $services:literal) => {
        concat!(
            "SELECT u.id, u.username, u.key, u.owner_id, a.username AS owner_username,
                    a.subscription_url_prefix AS owner_prefix, u.enabled, u.activated, u.removed, u.expire_strategy,
                    u.expire_date, u.usage_duration, u.activation_deadline, ",
            $crate::store::users::row::traffic_columns!("t"),
            ", u.note, u.created_at, u.edit_at, u.sub_revoked_at, f.fetched_at, f.user_agent, ",
            $services,
            " AS services"
        )
    };
}

/// The columns of a user's traffic, from a table of this name.
macro_rules! traffic_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".data_limit, ",
            $table,
            ".data_limit_reset_strategy, ",
            $table,
            ".used_traffic, ",
            $table,
            ".lifetime_used_traffic, ",
            $table,
            ".online_at, ",
            $table,
            ".traffic_reset_at"
        )
    };
}

/// The joins of `users u`.
macro_rules! user_joins {
    () => {
        "
             JOIN user_traffic t ON t.user_id = u.id
             LEFT JOIN admins a ON a.id = u.owner_id
             LEFT JOIN subscription_fetches f ON f.user_id = u.id"
    };
    // The joins for the few rows of a subquery that has the traffic already. PostgreSQL would rather read all fetches
    // of a small panel than look up fifty, which takes twice as long as the whole page; `OFFSET 0` prevents it.
    (looked up) => {
        "
             LEFT JOIN admins a ON a.id = u.owner_id
             LEFT JOIN LATERAL (SELECT * FROM subscription_fetches WHERE user_id = u.id OFFSET 0) AS f ON TRUE"
    };
}

/// Selects users by a condition: `select_users!(pg "u.id = $1")`.
macro_rules! select_users {
    ($engine:ident $condition:literal) => {
        concat!(
            $crate::store::users::row::user_columns!($engine),
            " FROM users u",
            $crate::store::users::row::user_joins!(),
            " WHERE ",
            $condition
        )
    };
}

pub(in crate::store) use {select_users, traffic_columns, user_columns, user_joins};

// The order is that of `user_columns!`.
row_in_order! {
    #[derive(Deserialize)]
    pub(in crate::store) struct UserRow {
        id: i64,
        username: Option<String>,
        key: String,
        owner_id: Option<i64>,
        owner_username: Option<String>,
        owner_prefix: Option<String>,
        #[serde(deserialize_with = "flag")]
        enabled: bool,
        #[serde(deserialize_with = "flag")]
        activated: bool,
        #[serde(deserialize_with = "flag")]
        removed: bool,
        expire_strategy: String,
        expire_date: Option<i64>,
        usage_duration: Option<i64>,
        activation_deadline: Option<i64>,
        data_limit: Option<i64>,
        data_limit_reset_strategy: String,
        used_traffic: i64,
        lifetime_used_traffic: i64,
        online_at: Option<i64>,
        traffic_reset_at: Option<i64>,
        note: Option<String>,
        created_at: i64,
        edit_at: Option<i64>,
        sub_revoked_at: Option<i64>,
        fetched_at: Option<i64>,
        user_agent: Option<String>,
        services: IdList,
    }
}

impl UserRow {
    /// Compares in the order of PostgreSQL: texts by code point, NULL last, equal values by id.
    pub(in crate::store) fn compare(&self, other: &Self, sort: UserSort) -> Ordering {
        let nulls_last = |one: Option<i64>, other: Option<i64>| (one.is_none(), one).cmp(&(other.is_none(), other));
        match sort {
            UserSort::Id => Ordering::Equal,
            UserSort::Username => self.username.cmp(&other.username),
            UserSort::UsedTraffic => self.used_traffic.cmp(&other.used_traffic),
            UserSort::DataLimit => nulls_last(self.data_limit, other.data_limit),
            UserSort::ExpireDate => nulls_last(self.expire_date, other.expire_date),
            UserSort::CreatedAt => self.created_at.cmp(&other.created_at),
        }
        .then(self.id.cmp(&other.id))
    }
}

/// Parses the rows in a text from SQLite, each a list of its columns in order.
pub(in crate::store) fn rows_in_text<R: DeserializeOwned>(text: &str) -> sqlx::Result<Vec<R>> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// SQLite's booleans are numbers.
pub(in crate::store) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    i64::deserialize(deserializer).map(|number| number != 0)
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        let moment = |micros: Option<i64>| micros.map(Moment::from_micros);
        let fields = ExpiryFields {
            date: moment(row.expire_date),
            duration: row.usage_duration,
            deadline: moment(row.activation_deadline),
        };
        let (expiry, unused_expiry) = Expiry::from_columns(&row.expire_strategy, fields);
        let owner = match (row.owner_id, row.owner_username) {
            (Some(id), Some(username)) => {
                Some(Owner { id: AdminId(id), username, subscription_url_prefix: row.owner_prefix.unwrap_or_default() })
            }
            _ => None,
        };
        Self {
            id: UserId(row.id),
            username: row.username,
            key: row.key,
            owner,
            enabled: row.enabled,
            activated: row.activated,
            removed: row.removed,
            expiry,
            unused_expiry,
            data_limit: row.data_limit,
            reset_strategy: ResetStrategy::from_word(&row.data_limit_reset_strategy).unwrap_or(ResetStrategy::NoReset),
            used_traffic: row.used_traffic,
            lifetime_used_traffic: row.lifetime_used_traffic,
            online_at: moment(row.online_at),
            traffic_reset_at: moment(row.traffic_reset_at),
            note: row.note,
            created_at: Moment::from_micros(row.created_at),
            edit_at: moment(row.edit_at),
            sub_revoked_at: moment(row.sub_revoked_at),
            sub_updated_at: moment(row.fetched_at),
            sub_last_user_agent: row.user_agent,
            service_ids: row.services.as_slice().iter().copied().map(ServiceId).collect(),
        }
    }
}

statements! {
    INSERT =
        "INSERT INTO users (username, key, owner_id, enabled, activated, expire_strategy, expire_date, usage_duration,
                activation_deadline, note, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         RETURNING id";
    INSERT_TRAFFIC =
        "INSERT INTO user_traffic (user_id, data_limit, data_limit_reset_strategy, created_at) VALUES ($1, $2, $3, $4)";
    UPDATE =
        "UPDATE users SET username = $2, key = $3, owner_id = $4, enabled = $5, activated = $6, removed = $7,
                expire_strategy = $8, expire_date = $9, usage_duration = $10, activation_deadline = $11, note = $12,
                edit_at = $13, sub_revoked_at = $14
         WHERE id = $1";
    UPDATE_LIMIT = "UPDATE user_traffic SET data_limit = $2, data_limit_reset_strategy = $3 WHERE user_id = $1";
    RESET_TRAFFIC = "UPDATE user_traffic SET used_traffic = 0, traffic_reset_at = $2 WHERE user_id = $1";
    DROP_SERVICES =>
        pg "DELETE FROM users_services WHERE user_id = $1 AND service_id <> ALL($2)",
        lite "DELETE FROM users_services WHERE user_id = $1 AND service_id NOT IN (SELECT value FROM json_each($2))";
    ADD_SERVICES =>
        pg "INSERT INTO users_services (user_id, service_id) SELECT $1, id FROM UNNEST(CAST($2 AS BIGINT[])) AS ids (id)
            ON CONFLICT DO NOTHING",
        lite "INSERT INTO users_services (user_id, service_id) SELECT $1, value FROM json_each($2) WHERE TRUE
            ON CONFLICT DO NOTHING";
}

/// Inserts a user; its `id` is ignored. A name or key that is taken is a [`super::Fault::Unique`].
pub async fn insert(tx: &mut Tx, user: &User) -> Result<UserId, StoreError> {
    let fields = user.expiry.fields().or(user.unused_expiry);
    let id = db_run!(tx, INSERT, |sql, c| query_scalar::<_, i64>(sql)
        .bind(user.username.as_deref())
        .bind(&user.key)
        .bind(user.owner.as_ref().map(|owner| owner.id.0))
        .bind(user.enabled)
        .bind(user.activated)
        .bind(user.expiry.strategy().word())
        .bind(fields.date.map(Moment::micros))
        .bind(fields.duration)
        .bind(fields.deadline.map(Moment::micros))
        .bind(user.note.as_deref())
        .bind(user.created_at.micros())
        .fetch_one(c)
        .await)?;
    db_execute!(tx, INSERT_TRAFFIC, id, user.data_limit, user.reset_strategy.word(), user.created_at.micros())?;
    add_services(tx, UserId(id), &user.service_ids).await?;
    Ok(UserId(id))
}

/// Updates a locked user from one state to another; writes only the tables that differ. Usage counters are not written,
/// except for a reset.
pub async fn update(tx: &mut Tx, before: &User, after: &User) -> Result<(), StoreError> {
    let fields = after.expiry.fields().or(after.unused_expiry);
    db_execute!(
        tx,
        UPDATE,
        after.id.0,
        after.username.as_deref(),
        &after.key,
        after.owner.as_ref().map(|owner| owner.id.0),
        after.enabled,
        after.activated,
        after.removed,
        after.expiry.strategy().word(),
        fields.date.map(Moment::micros),
        fields.duration,
        fields.deadline.map(Moment::micros),
        after.note.as_deref(),
        after.edit_at.map(Moment::micros),
        after.sub_revoked_at.map(Moment::micros)
    )?;
    if (before.data_limit, before.reset_strategy) != (after.data_limit, after.reset_strategy) {
        db_execute!(tx, UPDATE_LIMIT, after.id.0, after.data_limit, after.reset_strategy.word())?;
    }
    if before.traffic_reset_at != after.traffic_reset_at {
        db_execute!(tx, RESET_TRAFFIC, after.id.0, after.traffic_reset_at.map(Moment::micros))?;
    }
    if before.service_ids != after.service_ids {
        let kept = IdList::new(after.service_ids.iter().map(|id| id.0));
        db_execute!(tx, DROP_SERVICES, after.id.0, kept)?;
        add_services(tx, after.id, &after.service_ids).await?;
    }
    Ok(())
}

async fn add_services(tx: &mut Tx, user: UserId, services: &[ServiceId]) -> Result<(), StoreError> {
    if services.is_empty() {
        return Ok(());
    }
    let services = IdList::new(services.iter().map(|id| id.0));
    db_execute!(tx, ADD_SERVICES, user.0, services)
}
