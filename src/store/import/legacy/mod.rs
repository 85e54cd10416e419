//! Databases of the old panel (Marzneshin): one is read table by table and never written to; a new one can be created.
//!
//! Every value is read as text. The old panel ran on engines that store times, booleans and numbers differently (and
//! SQLite stores any type in any column), so one parser of texts serves all of them. The importer interprets the texts.

mod file;
mod row;
mod source;
mod tables;

pub use file::{OldFile, OldFileError};
pub use row::OldRow;
pub use source::{Source, SourceError};
pub use tables::{
    ADMINS, ADMINS_SERVICES, BACKENDS, HOST_CHAINS, HOSTS, HOSTS_SERVICES, INBOUNDS, INBOUNDS_SERVICES, JWT,
    NODE_USAGES, NODE_USER_USAGES, NODES, OldTable, REVISION, SERVICES, SETTINGS, TLS, USERS, USERS_SERVICES,
};
