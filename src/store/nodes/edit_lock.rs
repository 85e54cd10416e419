//! `node_edit`: who is changing the configuration of a node's engine. One at a time, on whichever host.

use uuid::Uuid;

use crate::domain::ids::NodeId;
use crate::store::engine::clock;
use crate::store::engine::statement::{db_affected, db_execute, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    TAKE = "INSERT INTO node_edit (node_id, holder, held_until) VALUES ($1, $2, $4)
        ON CONFLICT (node_id) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
        WHERE node_edit.held_until <= $3";
    GIVE_BACK = "DELETE FROM node_edit WHERE node_id = $1 AND holder = $2";
}

/// Takes a node for `micros` microseconds from now. False: somebody else has it.
pub async fn take(db: &Db, node: NodeId, holder: Uuid, micros: i64) -> Result<bool, StoreError> {
    let now = clock::now(db).await?;
    db.transaction("take node edit lock", async |tx| {
        let taken =
            db_affected!(tx, TAKE, node.0, holder, now.micros(), now.plus(micros).micros()).map(|rows| rows > 0)?;
        Ok(taken)
    })
    .await
}

/// Gives it back, if it is still held.
pub async fn give_back(db: &Db, node: NodeId, holder: Uuid) -> Result<(), StoreError> {
    db.transaction("release node edit lock", async |tx| {
        db_execute!(tx, GIVE_BACK, node.0, holder)?;
        Ok(())
    })
    .await
}
