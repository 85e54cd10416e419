//! A database file for the old panel, written under a temporary name and renamed when it is complete.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection, query, raw_sql};

use super::tables::{OldTable, REVISION, VERSION};
use crate::foundation::private_file;
use crate::store::engine::StoreError;

/// The old schema. `BEGIN` is executed before it, `COMMIT` after the last row.
const SCHEMA: &str = concat!("BEGIN;\n", include_str!("schema.sql"));
const COMMIT: &str = "COMMIT";

/// A file that is being written.
#[derive(Debug)]
pub struct OldFile {
    connection: SqliteConnection,
    draft: Draft,
    path: PathBuf,
}

/// The temporary file, deleted on drop: a complete file has its final name by then.
#[derive(Debug)]
struct Draft(PathBuf);

/// An error of writing the file.
#[derive(Debug, thiserror::Error)]
pub enum OldFileError {
    /// The file exists; it is not overwritten.
    #[error("{} exists already: name a new file", .0.display())]
    Exists(PathBuf),
    /// A statement failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be created or renamed.
    #[error("the database for the old panel can't be made at {}", .0.display())]
    Name(PathBuf, #[source] io::Error),
}

impl OldFile {
    /// Creates a file with the old panel's tables.
    pub async fn create(path: &Path) -> Result<Self, OldFileError> {
        if path.exists() {
            return Err(OldFileError::Exists(path.to_owned()));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = PathBuf::from(name);
        // The file holds the secret that signs tokens.
        let created = private_file().write(true).create_new(true).open(&part);
        created.map_err(|error| OldFileError::Name(part.clone(), error))?;
        let draft = Draft(part);
        let options = SqliteConnectOptions::new().filename(&draft.0);
        let opening = |source| StoreError::new("making a database for the old panel", source);
        let mut connection = options.connect().await.map_err(opening)?;
        raw_sql(SCHEMA).execute(&mut connection).await.map_err(opening)?;
        let mut file = Self { connection, draft, path: path.to_owned() };
        file.insert(VERSION, &[serde_json::json!({ "version_num": REVISION })]).await?;
        Ok(file)
    }

    /// Inserts rows: objects with the names of the table's columns.
    pub async fn insert(&mut self, table: &OldTable, rows: &[Value]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        // A list of JSON values always serializes.
        let document = serde_json::to_string(rows).unwrap_or_default();
        let done = query(table.insert).bind(document).execute(&mut self.connection).await;
        done.map(drop).map_err(|source| StoreError::new(table.rows.name, source))
    }

    /// Commits, and gives the file its final name.
    pub async fn finish(mut self) -> Result<(), OldFileError> {
        let ending = |source| StoreError::new("writing the database for the old panel", source);
        raw_sql(COMMIT).execute(&mut self.connection).await.map_err(ending)?;
        self.connection.close().await.map_err(ending)?;
        // A hard link fails if the name is taken, while a rename would replace the other file. Not all file systems have links.
        let named = match fs::hard_link(&self.draft.0, &self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !self.path.exists() => {
                fs::rename(&self.draft.0, &self.path)
            }
            linked => linked,
        };
        named.map_err(|error| OldFileError::Name(self.path, error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // The file may not exist.
        let _ = fs::remove_file(&self.0);
    }
}
