//! The database engines: pools, transactions, retries, registered statements, migrations.

pub(in crate::store) mod by_engine;
pub mod clock;
pub(in crate::store) mod condition;
pub(in crate::store) mod db;
pub(in crate::store) mod enum_columns;
pub(in crate::store) mod error;
mod error_codes;
mod id_list;
mod lent_connection;
pub(in crate::store) mod like;
pub mod migrate;
mod options;
#[cfg(test)]
pub(in crate::store) mod plans;
pub(in crate::store) mod postgres;
mod postgres_connections;
mod postgres_sessions;
mod probe;
pub(in crate::store) mod retry;
mod sqlite;
mod sqlite_commits;
pub(in crate::store) mod sqlite_file;
pub(in crate::store) mod sqlite_readers;
mod sqlite_write_lock;
pub(in crate::store) mod statement;
pub(in crate::store) mod table_locks;
pub(in crate::store) mod time_limits;
pub(in crate::store) mod transaction;

pub use condition::Condition;
pub use db::{Db, Engine, Tx};
pub use error::{Fault, StoreError};
pub use id_list::IdList;
pub use options::OpenOptions;
pub use postgres::{Pg, PgTx};
pub(in crate::store) use probe::STATEMENTS as PROBE_STATEMENTS;
pub use retry::Transient;
pub use sqlite_commits::OtherCommits;
pub(in crate::store) use sqlite_commits::STATEMENTS as SQLITE_COMMITS_STATEMENTS;
pub use statement::Statement;
pub use transaction::Work;
