//! The panel's own certificate and key: one row, made once for the whole cluster by whoever comes first.

use sqlx::query_as;

use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    CURRENT = "SELECT key, certificate FROM tls WHERE id = 1";
    INSERT = "INSERT INTO tls (id, key, certificate) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING";
}

row! {
    /// What the panel shows to its nodes.
    #[derive(Clone)]
    pub struct TlsMaterial {
        /// The private key, PEM.
        pub key: String,
        /// The certificate, PEM.
        pub certificate: String,
    }
}

/// What the cluster has, if anything yet.
pub async fn current(db: &Db) -> Result<Option<TlsMaterial>, StoreError> {
    db_read!(db, CURRENT, |sql, c| query_as::<_, TlsMaterial>(sql).fetch_optional(c).await)
}

/// Offers a certificate and returns the one that counts: this one, or another process's that was first.
pub async fn offer(db: &Db, own: TlsMaterial) -> Result<TlsMaterial, StoreError> {
    db.transaction("store panel certificate", async |tx| db_execute!(tx, INSERT, &own.key, &own.certificate)).await?;
    Ok(current(db).await?.unwrap_or(own))
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsMaterial").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
