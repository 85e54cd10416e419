//! Rolls old hours of usage up to days, which leaves the sums and a twenty-fourth of the rows. Usage that is folded
//! into an old hour later is rolled up by the next run.

use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_execute, statements};
use crate::store::engine::{StoreError, Tx};

statements! {
    // One statement on PostgreSQL, so that exactly the deleted rows are added, even if others write to these hours.
    ROLL_UP_USERS =>
        pg "WITH gone AS (
                DELETE FROM user_usage_hours
                WHERE ctid = ANY(ARRAY(SELECT ctid FROM user_usage_hours WHERE hour < $1 ORDER BY hour LIMIT $2))
                RETURNING user_id, hour - hour % 86400000000 AS day, node_id, counted)
            INSERT INTO user_usage_days (user_id, day, node_id, counted)
            SELECT user_id, day, node_id, CAST(LEAST(SUM(counted), 9000000000000000000) AS BIGINT) FROM gone
            GROUP BY user_id, day, node_id ORDER BY user_id, day, node_id
            ON CONFLICT (user_id, day, node_id) DO UPDATE SET
                counted = LEAST(user_usage_days.counted, 9000000000000000000 - excluded.counted) + excluded.counted",
        lite "INSERT INTO user_usage_days (user_id, day, node_id, counted)
            SELECT user_id, hour - hour % 86400000000 AS day, node_id,
                CAST(MIN(TOTAL(counted), 9000000000000000000) AS INTEGER)
            FROM (SELECT user_id, hour, node_id, counted FROM user_usage_hours WHERE hour < $1
                  ORDER BY hour, user_id, node_id LIMIT $2)
            GROUP BY user_id, day, node_id
            ON CONFLICT (user_id, day, node_id) DO UPDATE SET
                counted = MIN(user_usage_days.counted, 9000000000000000000 - excluded.counted) + excluded.counted";
    DROP_USERS_HOURS =>
        pg "SELECT $1::BIGINT, $2::BIGINT",
        lite "DELETE FROM user_usage_hours WHERE (user_id, hour, node_id) IN
            (SELECT user_id, hour, node_id FROM user_usage_hours WHERE hour < $1 ORDER BY hour, user_id, node_id LIMIT $2)";
    ROLL_UP_NODES =>
        pg "WITH gone AS (
                DELETE FROM node_usage_hours
                WHERE ctid = ANY(ARRAY(SELECT ctid FROM node_usage_hours WHERE hour < $1 ORDER BY hour LIMIT $2))
                RETURNING node_id, hour - hour % 86400000000 AS day, uplink, downlink, counted)
            INSERT INTO node_usage_days (node_id, day, uplink, downlink, counted)
            SELECT node_id, day, CAST(LEAST(SUM(uplink), 9000000000000000000) AS BIGINT),
                CAST(LEAST(SUM(downlink), 9000000000000000000) AS BIGINT),
                CAST(LEAST(SUM(counted), 9000000000000000000) AS BIGINT)
            FROM gone GROUP BY node_id, day ORDER BY node_id, day
            ON CONFLICT (node_id, day) DO UPDATE SET
                uplink = LEAST(node_usage_days.uplink, 9000000000000000000 - excluded.uplink) + excluded.uplink,
                downlink = LEAST(node_usage_days.downlink, 9000000000000000000 - excluded.downlink) + excluded.downlink,
                counted = LEAST(node_usage_days.counted, 9000000000000000000 - excluded.counted) + excluded.counted",
        lite "INSERT INTO node_usage_days (node_id, day, uplink, downlink, counted)
            SELECT node_id, hour - hour % 86400000000 AS day, CAST(MIN(TOTAL(uplink), 9000000000000000000) AS INTEGER),
                CAST(MIN(TOTAL(downlink), 9000000000000000000) AS INTEGER),
                CAST(MIN(TOTAL(counted), 9000000000000000000) AS INTEGER)
            FROM (SELECT node_id, hour, uplink, downlink, counted FROM node_usage_hours WHERE hour < $1
                  ORDER BY hour, node_id LIMIT $2)
            GROUP BY node_id, day
            ON CONFLICT (node_id, day) DO UPDATE SET
                uplink = MIN(node_usage_days.uplink, 9000000000000000000 - excluded.uplink) + excluded.uplink,
                downlink = MIN(node_usage_days.downlink, 9000000000000000000 - excluded.downlink) + excluded.downlink,
                counted = MIN(node_usage_days.counted, 9000000000000000000 - excluded.counted) + excluded.counted";
    DROP_NODES_HOURS =>
        pg "SELECT $1::BIGINT, $2::BIGINT",
        lite "DELETE FROM node_usage_hours WHERE (node_id, hour) IN
            (SELECT node_id, hour FROM node_usage_hours WHERE hour < $1 ORDER BY hour, node_id LIMIT $2)";
}

/// Adds at most `limit` hours of users before `before` (the start of a day) to their days and deletes them. Returns the
/// number of days written; 0: no hour was left.
pub async fn roll_up_users(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    let days = db_affected!(tx, ROLL_UP_USERS, before.micros(), limit)?;
    if let Tx::Lite { .. } = tx {
        db_execute!(tx, DROP_USERS_HOURS, before.micros(), limit)?;
    }
    Ok(days)
}

/// Rolls up hours of nodes like [`roll_up_users`].
pub async fn roll_up_nodes(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    let days = db_affected!(tx, ROLL_UP_NODES, before.micros(), limit)?;
    if let Tx::Lite { .. } = tx {
        db_execute!(tx, DROP_NODES_HOURS, before.micros(), limit)?;
    }
    Ok(days)
}
