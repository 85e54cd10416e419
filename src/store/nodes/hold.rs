//! Holds on nodes: a process whose term is over has other leaders leave a node alone while its calls are still running
//! there. Not fenced, because a deposed leader holds.

use crate::domain::ids::NodeId;
use crate::domain::moment::{Moment, SECOND};
use crate::store::engine::statement::{db_execute, statements};
use crate::store::engine::{Db, StoreError, clock};

statements! {
    HOLD = "UPDATE nodes SET held_until = $2 WHERE id = $1";
}

/// Microseconds that a hold lasts unless it is renewed.
const TIME: i64 = 5 * SECOND;

/// Holds a node, or renews the hold.
pub async fn renew(db: &Db, node: NodeId) -> Result<(), StoreError> {
    let until = until(db).await?;
    write(db, node, Some(until)).await
}

/// Ends a hold: the calls have ended.
pub async fn release(db: &Db, node: NodeId) -> Result<(), StoreError> {
    write(db, node, None).await
}

/// Returns whether a node is held, from its `held_until`.
pub async fn is_held(db: &Db, held_until: Option<i64>) -> Result<bool, StoreError> {
    match held_until {
        Some(until) => Ok(clock::now(db).await?.micros() < until),
        None => Ok(false),
    }
}

/// Returns the time until which a hold lasts that begins now.
pub(super) async fn until(db: &Db) -> Result<Moment, StoreError> {
    Ok(clock::now(db).await?.plus(TIME))
}

async fn write(db: &Db, node: NodeId, until: Option<Moment>) -> Result<(), StoreError> {
    db.transaction("hold node", async |tx| {
        db_execute!(tx, HOLD, node.0, until.map(Moment::micros))?;
        Ok(())
    })
    .await
}
