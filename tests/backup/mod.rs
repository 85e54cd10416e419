//! Back-ups of either engine, restored into either.

mod at_once;
mod contents;
mod damage;
mod entered;
mod filled;
mod gives_way;
mod paused;
mod round_trip;
mod s3;
mod s3_requests;
mod slow_line;
mod snapshot;
mod spool;
mod unconfirmed;

use std::io::Cursor;
use std::path::Path;

use sarban::backup::{BackupError, CreateOptions, Identities, Manifest, Target, create, restore};
use sarban::config::database_url::DatabaseUrl;
use sarban::domain::moment::Moment;
use sarban::store::Db;

use crate::support::database::options;

/// Backs a database up into memory.
async fn back_up(db: &Db, options: CreateOptions) -> (Manifest, Vec<u8>) {
    create(db, options, Vec::new(), Moment::from_micros(1_796_000_000_000_000)).await.expect("a back-up")
}

/// A back-up of everything.
fn with_secrets() -> CreateOptions {
    CreateOptions { with_secrets: true, ..CreateOptions::default() }
}

/// Restores what is in memory.
async fn restore_bytes(db: &Db, data_dir: &Path, bytes: &[u8]) -> Result<Manifest, BackupError> {
    restore_with(db, data_dir, bytes, Identities::default()).await
}

async fn restore_with(db: &Db, data_dir: &Path, bytes: &[u8], keys: Identities) -> Result<Manifest, BackupError> {
    let target = Target { db: db.clone(), direct: db.clone(), data_dir: data_dir.to_owned(), note: None };
    restore(&target, Cursor::new(bytes.to_vec()), keys).await.map(|restored| restored.manifest)
}

/// Opens a SQLite database in a folder, without tables if it is new.
async fn sqlite_in(folder: &Path) -> Db {
    let url = DatabaseUrl::Sqlite { path: folder.join("other.sqlite3") };
    Db::open(&options(url)).await.expect("a database")
}
