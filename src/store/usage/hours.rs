//! Folds applied usage into the hours of each user on each node. Many batches of one node and hour are folded at once,
//! a few minutes after the totals, because this is most of the writing.

use super::batches::{Batch, State, advance};
use super::charge_columns::charge_columns;
use crate::domain::moment::Moment;
use crate::domain::usage::sum_charges;
use crate::store::engine::statement::{db_execute, statements};
use crate::store::engine::{StoreError, Tx};

statements! {
    ADD_TO_HOURS =>
        pg "INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
            SELECT e.user_id, $3, $4, e.counted FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS e (user_id, counted)
            WHERE e.counted > 0 ORDER BY e.user_id
            ON CONFLICT (user_id, hour, node_id) DO UPDATE SET
                counted = LEAST(user_usage_hours.counted, 9000000000000000000 - excluded.counted) + excluded.counted",
        lite "INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
            SELECT value ->> 0, $3, $4, value ->> 1 FROM json_each($1) WHERE value ->> 1 > 0
            ON CONFLICT (user_id, hour, node_id) DO UPDATE SET
                counted = MIN(user_usage_hours.counted, 9000000000000000000 - excluded.counted) + excluded.counted";
}

/// Folds applied batches of one node and hour; with `hours` false it only marks them as folded. Returns the number of
/// batches that were not folded yet.
pub async fn fold(tx: &mut Tx, batches: &[Batch], hours: bool, now: Moment) -> Result<usize, StoreError> {
    let batches = advance(tx, batches, State::Applied, State::Folded, now).await?;
    let Some(first) = batches.first() else { return Ok(0) };
    let (node, hour) = (first.node, first.fetched_at.hour());
    debug_assert!(batches.iter().all(|batch| (batch.node, batch.fetched_at.hour()) == (node, hour)), "of one hour");
    if hours {
        let charges = sum_charges(batches.iter().map(|batch| batch.charges.as_slice()));
        let (users, counts) = charge_columns(tx.engine(), &charges);
        db_execute!(tx, ADD_TO_HOURS, users, counts, hour.micros(), node.0)?;
    }
    Ok(batches.len())
}
