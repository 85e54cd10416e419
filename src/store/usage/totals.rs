//! Applies staged usage to users' totals and nodes' hours, in the transaction that changes the batches' state.

use std::collections::{BTreeMap, HashSet};

use sqlx::query_scalar;

use super::batches::{Batch, State, advance};
use super::charge_columns::charge_columns;
use super::traffic_writers;
use crate::domain::ids::{NodeId, UserId};
use crate::domain::moment::Moment;
use crate::domain::usage::sum_charges;
use crate::domain::user::User;
use crate::store::engine::statement::{db_affected, db_execute, db_run, statements};
use crate::store::engine::{IdList, StoreError, Tx};
use crate::store::users;
use crate::store::users::owner_totals;

statements! {
    // Sums are capped near the end of 64 bits: beyond it PostgreSQL refuses the batch, and SQLite turns the column into
    // a float.
    ADD_TO_USERS =>
        pg "UPDATE user_traffic AS t SET
                used_traffic = LEAST(used_traffic, 9000000000000000000 - e.counted) + CASE WHEN traffic_reset_at > $3 THEN 0 ELSE e.counted END,
                lifetime_used_traffic = LEAST(lifetime_used_traffic, 9000000000000000000 - e.counted) + e.counted,
                online_at = GREATEST(online_at, $3)
            FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS e (user_id, counted) WHERE t.user_id = e.user_id",
        lite "UPDATE user_traffic SET
                used_traffic = MIN(used_traffic, 9000000000000000000 - e.counted) + CASE WHEN traffic_reset_at > $3 THEN 0 ELSE e.counted END,
                lifetime_used_traffic = MIN(lifetime_used_traffic, 9000000000000000000 - e.counted) + e.counted,
                online_at = MAX(COALESCE(online_at, $3), $3)
            FROM (SELECT value ->> 0 AS user_id, value ->> 1 AS counted FROM json_each($1)) AS e
            WHERE user_traffic.user_id = e.user_id";
    // Locks the rows, so that the update sees the same values.
    CROSSING =>
        pg "SELECT t.user_id FROM user_traffic AS t
            JOIN UNNEST($1::BIGINT[], $2::BIGINT[]) AS e (user_id, counted) ON e.user_id = t.user_id
            WHERE t.data_limit IS NOT NULL AND (t.traffic_reset_at IS NULL OR t.traffic_reset_at <= $3)
              AND CAST(t.used_traffic AS DOUBLE PRECISION) * 100 <= CAST(t.data_limit AS DOUBLE PRECISION) * $4
              AND (CAST(t.used_traffic AS DOUBLE PRECISION) + e.counted) * 100 > CAST(t.data_limit AS DOUBLE PRECISION) * $4
            ORDER BY t.user_id FOR UPDATE OF t",
        lite "SELECT t.user_id FROM json_each($1) AS e JOIN user_traffic AS t ON t.user_id = e.value ->> 0
            WHERE t.data_limit IS NOT NULL AND (t.traffic_reset_at IS NULL OR t.traffic_reset_at <= $3)
              AND CAST(t.used_traffic AS REAL) * 100 <= CAST(t.data_limit AS REAL) * $4
              AND (CAST(t.used_traffic AS REAL) + (e.value ->> 1)) * 100 > CAST(t.data_limit AS REAL) * $4
            ORDER BY t.user_id";
    UNKNOWN =>
        pg "SELECT e.user_id FROM UNNEST(CAST($1 AS BIGINT[])) AS e (user_id)
            WHERE NOT EXISTS (SELECT 1 FROM user_traffic AS t WHERE t.user_id = e.user_id)",
        lite "SELECT value FROM json_each($1)
            WHERE NOT EXISTS (SELECT 1 FROM user_traffic AS t WHERE t.user_id = value)";
    SET_UNKNOWN_BYTES = "UPDATE usage_batch SET unknown_bytes = $3 WHERE batch_id = $1 AND part = $2";
    ADD_TO_NODE =>
        pg "INSERT INTO node_usage_hours (node_id, hour, downlink, counted) VALUES ($1, $2, $3, $4)
            ON CONFLICT (node_id, hour) DO UPDATE SET
                downlink = LEAST(node_usage_hours.downlink, 9000000000000000000 - excluded.downlink) + excluded.downlink,
                counted = LEAST(node_usage_hours.counted, 9000000000000000000 - excluded.counted) + excluded.counted",
        lite "INSERT INTO node_usage_hours (node_id, hour, downlink, counted) VALUES ($1, $2, $3, $4)
            ON CONFLICT (node_id, hour) DO UPDATE SET
                downlink = MIN(node_usage_hours.downlink, 9000000000000000000 - excluded.downlink) + excluded.downlink,
                counted = MIN(node_usage_hours.counted, 9000000000000000000 - excluded.counted) + excluded.counted";
}

/// Cap of all sums.
const MOST: i64 = 9_000_000_000_000_000_000;

/// The result of applying one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Node that reported the counters.
    pub node: NodeId,
    /// Raw bytes.
    pub bytes: i64,
    /// Number of charged users.
    pub users: usize,
    /// Counted bytes of users that do not exist.
    pub unknown: i64,
}

/// Options for applying batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Also adds to the hours of nodes.
    pub node_hours: bool,
    /// Percentage of the data limit whose crossing is reported; `None`: crossings are not reported.
    pub notify_percent: Option<u32>,
}

/// The result of applying batches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Results by batch.
    pub applied: Vec<Applied>,
    /// Users who crossed `notify_percent`: as they were before, with the new `used_traffic`.
    pub passed: Vec<User>,
}

/// Applies staged batches of one fetch time; batches that are applied already are left out of the outcome. A batch
/// fetched before a user's last reset adds to the lifetime traffic only.
pub async fn apply(tx: &mut Tx, batches: &[Batch], options: ApplyOptions, now: Moment) -> Result<Outcome, StoreError> {
    let batches = advance(tx, batches, State::Staged, State::Applied, now).await?;
    let Some(at) = batches.first().map(|batch| batch.fetched_at) else { return Ok(Outcome::default()) };
    debug_assert!(batches.iter().all(|batch| batch.fetched_at == at), "of one moment");
    let charges = sum_charges(batches.iter().map(|batch| batch.charges.as_slice()));
    traffic_writers::one_at_a_time(tx).await?;
    let passed = match options.notify_percent {
        Some(percent) => passing(tx, &charges, at, percent).await?,
        None => Vec::new(),
    };
    let (users, sums) = charge_columns(tx.engine(), &charges);
    let known = db_affected!(tx, ADD_TO_USERS, &users, &sums, at.micros())?;
    owner_totals::add_traffic(tx, &users, &sums).await?;
    let unknown = if known < charges.len() as u64 { unknown_users(tx, &charges).await? } else { HashSet::new() };
    let mut applied = Vec::with_capacity(batches.len());
    for batch in &batches {
        let (gone, lost) = batch
            .charges
            .iter()
            .filter(|(user, _)| unknown.contains(user))
            .fold((0, 0i64), |(count, sum), (_, counted)| (count + 1, sum.saturating_add(*counted)));
        if gone > 0 {
            set_unknown_bytes(tx, batch, lost).await?;
        }
        applied.push(Applied {
            node: batch.node,
            bytes: batch.bytes,
            users: batch.charges.len() - gone,
            unknown: lost,
        });
    }
    if options.node_hours {
        add_to_nodes(tx, &batches, at.hour()).await?;
    }
    Ok(Outcome { applied, passed })
}

/// Returns the users whom these charges take past a percentage of their data limit.
async fn passing(tx: &mut Tx, charges: &[(UserId, i64)], at: Moment, percent: u32) -> Result<Vec<User>, StoreError> {
    let (users, sums) = charge_columns(tx.engine(), charges);
    let ids = db_run!(tx, CROSSING, |sql, c| {
        let query = query_scalar::<_, i64>(sql).bind(users).bind(sums).bind(at.micros());
        query.bind(f64::from(percent)).fetch_all(c).await
    })?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut passing = users::of_ids(tx, &IdList::new(ids)).await?;
    passing.retain(|user| !user.removed);
    for user in &mut passing {
        let place = charges.binary_search_by_key(&user.id, |(charged, _)| *charged);
        let more = place.ok().and_then(|place| charges.get(place)).map_or(0, |(_, counted)| *counted);
        user.used_traffic = user.used_traffic.saturating_add(more);
    }
    Ok(passing)
}

async fn unknown_users(tx: &mut Tx, charges: &[(UserId, i64)]) -> Result<HashSet<UserId>, StoreError> {
    let users = IdList::new(charges.iter().map(|(user, _)| user.0));
    let ids = db_run!(tx, UNKNOWN, |sql, c| query_scalar::<_, i64>(sql).bind(&users).fetch_all(c).await)?;
    Ok(ids.into_iter().map(UserId).collect())
}

async fn set_unknown_bytes(tx: &mut Tx, batch: &Batch, bytes: i64) -> Result<(), StoreError> {
    let (id, part) = batch.key.parts();
    db_execute!(tx, SET_UNKNOWN_BYTES, id, part, bytes)
}

async fn add_to_nodes(tx: &mut Tx, batches: &[&Batch], hour: Moment) -> Result<(), StoreError> {
    let mut nodes = BTreeMap::<NodeId, (i64, i64)>::new();
    for batch in batches {
        let (raw, counted) = nodes.entry(batch.node).or_default();
        *raw = raw.saturating_add(batch.bytes).min(MOST);
        for (_, bytes) in &batch.charges {
            *counted = counted.saturating_add(*bytes).min(MOST);
        }
    }
    for (node, (raw, counted)) in nodes {
        db_execute!(tx, ADD_TO_NODE, node.0, hour.micros(), raw, counted)?;
    }
    Ok(())
}
