//! Secrets that the whole cluster shares.

use sqlx::query_scalar;

use crate::store::engine::statement::{db_execute, db_read, db_run, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    JWT = "SELECT secret_key FROM jwt WHERE id = 1";
    INSERT_JWT = "INSERT INTO jwt (id, secret_key) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
}

/// Returns the secret that signs tokens. If there is none, stores `candidate`, unless another process is faster.
pub async fn jwt(db: &Db, candidate: &str) -> Result<String, StoreError> {
    if let Some(secret) = db_read!(db, JWT, |sql, c| query_scalar::<_, String>(sql).fetch_optional(c).await)? {
        return Ok(secret);
    }
    db.transaction("store JWT secret", async |tx| {
        db_execute!(tx, INSERT_JWT, candidate)?;
        db_run!(tx, JWT, |sql, c| query_scalar::<_, String>(sql).fetch_one(c).await)
    })
    .await
}
