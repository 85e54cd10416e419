//! Hours of users on nodes: millions of narrow rows.

use sqlx::query;

use super::Stored;
use crate::store::by_engine::ByEngine;
use crate::store::{Statement, StoreError, Tx, row, run, statements};

statements! {
    // A day counts at its first hour, which may have a row of its own again.
    USER_HOURS =
        "SELECT user_id, hour, node_id, CAST(SUM(counted) AS BIGINT) AS counted
         FROM (SELECT user_id, hour, node_id, counted FROM user_usage_hours
               UNION ALL SELECT user_id, day, node_id, counted FROM user_usage_days) AS hours
         GROUP BY user_id, hour, node_id ORDER BY hour, user_id, node_id";
    NODE_HOURS =
        "SELECT node_id, hour, CAST(SUM(uplink) AS BIGINT) AS uplink, CAST(SUM(downlink) AS BIGINT) AS downlink
         FROM (SELECT node_id, hour, uplink, downlink FROM node_usage_hours
               UNION ALL SELECT node_id, day, uplink, downlink FROM node_usage_days) AS hours
         GROUP BY node_id, hour ORDER BY hour, node_id";
    // Rows that one hour had twice are added up, within 64 bits.
    ADD =>
        pg "INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
            SELECT * FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[])
            ON CONFLICT (user_id, hour, node_id) DO UPDATE SET counted = user_usage_hours.counted + excluded.counted",
        lite "INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE TRUE
            ON CONFLICT (user_id, hour, node_id) DO UPDATE SET counted = user_usage_hours.counted + excluded.counted";
}

row! {
    /// What a user moved through a node in an hour. They are ordered as their table's key is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct UserHour {
        /// The user; 0: one that is gone.
        pub user_id: i64,
        /// Unix microseconds at the start of the hour.
        pub hour: i64,
        /// The node; 0: one that is gone.
        pub node_id: i64,
        /// Bytes times the node's coefficient.
        pub counted: i64,
    }
}

row! {
    /// What went through a node in an hour.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NodeHour {
        /// The node; 0: one that is gone.
        pub node_id: i64,
        /// Unix microseconds at the start of the hour.
        pub hour: i64,
        /// Bytes.
        pub uplink: i64,
        /// Bytes.
        pub downlink: i64,
    }
}

impl Stored for UserHour {
    const SELECT: Statement = USER_HOURS;
}

impl Stored for NodeHour {
    const SELECT: Statement = NODE_HOURS;
}

/// Writes hours, each at most once in the list. One that is there already gets its bytes added.
pub async fn add_user_hours(tx: &mut Tx, hours: &[UserHour]) -> Result<(), StoreError> {
    if hours.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&UserHour) -> i64| hours.iter().map(of).collect::<Vec<_>>();
    match tx {
        Tx::Pg(_) => {
            let none = ByEngine::<_, Option<String>>::Pg;
            let (users, at) = (none(column(|it| it.user_id)), none(column(|it| it.hour)));
            let (nodes, counted) = (none(column(|it| it.node_id)), none(column(|it| it.counted)));
            run!(tx, ADD, |sql, c| query(sql).bind(users).bind(at).bind(nodes).bind(counted).execute(c).await.map(drop))
        }
        Tx::Lite { .. } => {
            let rows: Vec<[i64; 4]> = hours.iter().map(|it| [it.user_id, it.hour, it.node_id, it.counted]).collect();
            // Numbers in lists always serialize.
            let rows = ByEngine::<Vec<i64>, _>::Lite(serde_json::to_string(&rows).unwrap_or_default());
            run!(tx, ADD, |sql, c| query(sql).bind(rows).execute(c).await.map(drop))
        }
    }
}
