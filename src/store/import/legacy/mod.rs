//! Databases of the old panel (Marzneshin): one is read table by table and never written to; a new one can be made.
//!
//! Everything arrives as text: the old panel ran on engines that keep times, truths and numbers in different ways (and
//! SQLite keeps whatever it is given), so one reading of texts serves all of them. What the texts mean is the
//! importer's business.

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
