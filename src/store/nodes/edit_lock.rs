//! The table `node_edit`: cluster-wide locks for changes to the configuration of a node's engine.

use sqlx::query_scalar;
use uuid::Uuid;

use crate::domain::ids::NodeId;
use crate::domain::moment::SECOND;
use crate::store::engine::clock;
use crate::store::engine::statement::{db_affected, db_execute, db_read, statements};
use crate::store::engine::{Db, StoreError, Tx};

/// Microseconds after which a lock expires unless it is released or renewed: the time for which a node is left alone when the
/// process that held its lock was killed.
pub const TIME: i64 = 30 * SECOND;

statements! {
    ACQUIRE = "INSERT INTO node_edit (node_id, holder, held_until) VALUES ($1, $2, $4)
        ON CONFLICT (node_id) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
        WHERE node_edit.held_until <= $3";
    RENEW = "UPDATE node_edit SET held_until = $4 WHERE node_id = $1 AND holder = $2 AND held_until > $3";
    HOLD = "UPDATE node_edit SET held_until = held_until WHERE node_id = $1 AND holder = $2";
    IS_HELD = "SELECT EXISTS (SELECT 1 FROM node_edit WHERE node_id = $1 AND held_until > $2)";
    RELEASE = "DELETE FROM node_edit WHERE node_id = $1 AND holder = $2";
}

/// Locks a node for `micros` microseconds from now. False: another holder has the lock.
pub async fn acquire(db: &Db, node: NodeId, holder: Uuid, micros: i64) -> Result<bool, StoreError> {
    let now = clock::now(db).await?;
    db.transaction("acquire node edit lock", async |tx| {
        let taken =
            db_affected!(tx, ACQUIRE, node.0, holder, now.micros(), now.plus(micros).micros()).map(|rows| rows > 0)?;
        Ok(taken)
    })
    .await
}

/// Prolongs a lock to `micros` microseconds from now. False: it has expired, and another holder may have had it since.
pub async fn renew(db: &Db, node: NodeId, holder: Uuid, micros: i64) -> Result<bool, StoreError> {
    let now = clock::now(db).await?;
    db.transaction("renew node edit lock", async |tx| {
        let until = now.plus(micros).micros();
        Ok(db_affected!(tx, RENEW, node.0, holder, now.micros(), until)? > 0)
    })
    .await
}

/// Returns false if another holder has had the lock meanwhile. Otherwise nobody takes it before the transaction ends.
pub async fn hold(tx: &mut Tx, node: NodeId, holder: Uuid) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, HOLD, node.0, holder)? > 0)
}

/// Returns true while a lock is held.
pub async fn is_held(db: &Db, node: NodeId) -> Result<bool, StoreError> {
    let now = clock::now(db).await?.micros();
    db_read!(db, IS_HELD, |sql, c| query_scalar::<_, bool>(sql).bind(node.0).bind(now).fetch_one(c).await)
}

/// Releases the lock, if `holder` still has it.
pub async fn release(db: &Db, node: NodeId, holder: Uuid) -> Result<(), StoreError> {
    db.transaction("release node edit lock", async |tx| {
        db_execute!(tx, RELEASE, node.0, holder)?;
        Ok(())
    })
    .await
}
