//! An empty SQLite database in a temporary folder, to try a restore in.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::error::BackupError;
use super::files::LEFT_BEHIND;
use super::restore::Target;
use crate::config::database_url::DatabaseUrl;
use crate::foundation::create_private_folder;
use crate::store::{Db, OpenOptions};

/// The folder, which is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    target: Target,
}

const PREFIX: &str = "sarban-verify-";

impl Scratch {
    /// Creates the database, and removes those of processes that were killed.
    pub async fn create() -> Result<Self, BackupError> {
        remove_left_behind(&std::env::temp_dir());
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", Uuid::new_v4().simple()));
        create_private_folder(&folder).map_err(BackupError::io(format!("could not create {}", folder.display())))?;
        let patience = Duration::from_secs(10);
        let options = OpenOptions {
            url: DatabaseUrl::Sqlite { path: folder.join("scratch.sqlite3") },
            connections: 1,
            statement_cache: 100,
            application_name: "sarban verify".to_owned(),
            acquire_timeout: patience,
            statement_timeout: patience,
            busy_timeout: patience,
            read_only: false,
        };
        let opened = Db::open(&options).await;
        let db = opened.map_err(BackupError::store(format!("could not create a database in {}", folder.display())))?;
        let target = Target { db: db.clone(), direct: db, data_dir: folder.clone(), note: None };
        Ok(Self { folder, target })
    }

    /// Returns the database.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Closes and removes the database.
    pub async fn remove(self) {
        self.target.db.close().await;
    }
}

/// Removes old folders. One that can't be removed belongs to another user.
fn remove_left_behind(parent: &Path) {
    let is_left = |entry: &DirEntry| {
        let is_name = |name: &str| name.strip_prefix(PREFIX).is_some_and(|id| Uuid::try_parse(id).is_ok());
        let created = entry.metadata().and_then(|metadata| metadata.modified());
        entry.file_name().to_str().is_some_and(is_name)
            && created.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_BEHIND))
    };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten().filter(is_left) {
        drop(fs::remove_dir_all(entry.path()));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_left_over_are_removed_after_a_day() {
        let parent = tempfile::tempdir().expect("a folder");
        let id = Uuid::new_v4().simple();
        let create = |name: String, days: u64| {
            let path = parent.path().join(name);
            fs::create_dir(&path).and_then(|()| fs::write(path.join("scratch.sqlite3"), "")).expect("a folder");
            let age = Duration::from_secs(days * 24 * 3_600 + 60);
            let now = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("its time");
            fs::File::open(&path).and_then(|it| it.set_modified(now - age)).expect("an older time");
            path
        };
        let left = create(format!("{PREFIX}{id}"), 1);
        let stays = [create(format!("{PREFIX}{}", Uuid::new_v4().simple()), 0), create(format!("{PREFIX}mine"), 1)];
        remove_left_behind(parent.path());
        assert!(!left.exists() && stays.iter().all(|path| path.exists()));
    }
}
