//! Back-ups: a file with all tables and the spool that either engine can be restored from. docs/backup.md has the format.

mod age_keys;
mod audit_note;
mod blocks;
mod create;
mod envelope;
mod error;
mod files;
mod manifest;
mod names;
mod place;
mod reader;
mod restore;
mod s3;
mod scheduled;
mod scratch;
mod spool_files;

pub use age_keys::Identities;
pub use audit_note::AuditNote;
pub use create::{CreateOptions, create};
pub use error::BackupError;
pub use manifest::{Head, Manifest, TableSummary};
pub use place::{Pending, Place};
pub use restore::{Restored, Target, restore};
pub use scheduled::Scheduled;
pub use scratch::Scratch;
