//! A user as one row, as the old panel stored it, instead of three.

use super::rows::Stored;
use crate::store::engine::Statement;
use crate::store::engine::statement::{row, statements};

statements! {
    SELECT =
        "SELECT u.id, u.username, u.key, u.owner_id, u.enabled, u.activated, u.removed, u.expire_strategy, u.expire_date,
                u.usage_duration, u.activation_deadline, u.note, u.created_at, u.edit_at, u.sub_revoked_at, t.data_limit,
                t.used_traffic, t.lifetime_used_traffic, t.online_at, t.data_limit_reset_strategy, t.traffic_reset_at,
                f.fetched_at, f.user_agent
         FROM users u
         JOIN user_traffic t ON t.user_id = u.id
         LEFT JOIN subscription_fetches f ON f.user_id = u.id
         ORDER BY u.id";
}

row! {
    /// The columns of users, user_traffic and subscription_fetches.
    #[derive(Clone, Debug)]
    #[expect(missing_docs, reason = "the tables' own columns: see the migrations")]
    pub struct FullUserRow {
        pub id: i64,
        pub username: Option<String>,
        pub key: String,
        pub owner_id: Option<i64>,
        pub enabled: bool,
        pub activated: bool,
        pub removed: bool,
        pub expire_strategy: String,
        pub expire_date: Option<i64>,
        pub usage_duration: Option<i64>,
        pub activation_deadline: Option<i64>,
        pub note: Option<String>,
        pub created_at: i64,
        pub edit_at: Option<i64>,
        pub sub_revoked_at: Option<i64>,
        pub data_limit: Option<i64>,
        pub used_traffic: i64,
        pub lifetime_used_traffic: i64,
        pub online_at: Option<i64>,
        pub data_limit_reset_strategy: String,
        pub traffic_reset_at: Option<i64>,
        pub fetched_at: Option<i64>,
        pub user_agent: Option<String>,
    }
}

impl Stored for FullUserRow {
    const SELECT: Statement = SELECT;
}
