//! The database engines under all queries: pools, transactions, retries, registered statements, migrations.

pub(in crate::store) mod by_engine;
pub mod clock;
mod db;
pub(in crate::store) mod enum_columns;
mod error;
mod id_list;
pub(in crate::store) mod like;
pub mod migrate;
pub(in crate::store) mod postgres;
mod postgres_connections;
mod sqlite_readers;
mod sqlite_write_lock;
pub(crate) mod statement;
pub(in crate::store) mod transaction;

pub use db::{Db, Engine, OpenOptions, Tx};
pub use error::{Fault, StoreError};
pub use id_list::IdList;
pub use postgres::{Pg, PgTx};
pub use statement::Statement;
pub use transaction::Transient;
