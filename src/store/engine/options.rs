//! Options for opening a database.

use std::time::Duration;

use crate::config::database_url::DatabaseUrl;

/// Options for opening a database.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Address of the database.
    pub url: DatabaseUrl,
    /// Maximum number of connections; on SQLite, of readers besides the one writer.
    pub connections: u32,
    /// Prepared statements cached per connection; 0 behind pgbouncer.
    pub statement_cache: usize,
    /// Name in PostgreSQL's `pg_stat_activity`.
    pub application_name: String,
    /// Maximum wait for a free connection.
    pub acquire_timeout: Duration,
    /// Maximum wait for PostgreSQL's answer to a statement that is not known to take long.
    pub statement_timeout: Duration,
    /// Maximum wait of a writer for another process that writes to the same SQLite file.
    pub busy_timeout: Duration,
    /// Makes the database refuse every write, for a read-only panel.
    pub read_only: bool,
}
