//! The table `tls`: the panel's certificate and key, created once for the whole cluster.

use sqlx::query_as;

use crate::store::engine::statement::{db_execute, db_read, row, statements};
use crate::store::engine::{Db, StoreError};

statements! {
    CURRENT = "SELECT key, certificate FROM tls WHERE id = 1";
    INSERT = "INSERT INTO tls (id, key, certificate) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING";
}

row! {
    /// The panel's certificate for its connections to nodes.
    #[derive(Clone)]
    pub struct TlsMaterial {
        /// Private key, PEM.
        pub key: String,
        /// Certificate, PEM.
        pub certificate: String,
    }
}

/// Returns the cluster's certificate, if there is one.
pub async fn current(db: &Db) -> Result<Option<TlsMaterial>, StoreError> {
    db_read!(db, CURRENT, |sql, c| query_as::<_, TlsMaterial>(sql).fetch_optional(c).await)
}

/// Stores a certificate unless another process was faster. Returns the stored one.
pub async fn offer(db: &Db, own: TlsMaterial) -> Result<TlsMaterial, StoreError> {
    db.transaction("store panel certificate", async |tx| db_execute!(tx, INSERT, &own.key, &own.certificate)).await?;
    Ok(current(db).await?.unwrap_or(own))
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsMaterial").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
