//! The files of the spool in a back-up: replies of nodes that are not in the database yet.

use std::fs::{self, File};
use std::io::{self, Read, Take, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use super::error::BackupError;
use crate::foundation::{create_private_folder, private_file, sync_folder};
use crate::nodes::spool;

/// The spool, from which nothing is removed until this is dropped.
pub(super) struct HeldSpool {
    data_dir: PathBuf,
    _hold: spool::Hold,
}

impl HeldSpool {
    /// Holds removals off.
    pub(super) fn of(data_dir: PathBuf) -> Result<Self, BackupError> {
        let folder = data_dir.join(spool::FOLDER);
        let held = spool::hold(&folder).map_err(BackupError::io(format!("could not lock {}", folder.display())))?;
        Ok(Self { data_dir, _hold: held })
    }

    /// Opens the files as they are now. Their processes may go on writing: the panel that replays a copy leaves out a record
    /// that is cut.
    pub(super) fn files(&self) -> Result<Vec<Take<File>>, BackupError> {
        let paths = spool::unfinished(&self.data_dir);
        let mut files = Vec::new();
        for path in paths.map_err(BackupError::io("could not read the spool in DATA_DIR"))? {
            match File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file))) {
                Ok((length, file)) => files.push(file.take(length)),
                // Its process had written nothing yet, or gave up its start.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(BackupError::io(format!("could not read {}", path.display()))(error)),
            }
        }
        Ok(files)
    }
}

/// Extension of a spool file until its content is complete.
const UNFINISHED: &str = "restored";

/// Spool files that are being restored. Dropped before [`RestoredSpool::keep`], they are removed.
pub(super) struct RestoredSpool {
    folder: PathBuf,
    files: Vec<RestoredFile>,
    keep: bool,
}

struct RestoredFile {
    path: PathBuf,
    file: File,
    digest: Xxh3,
}

impl RestoredSpool {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(spool::FOLDER), files: Vec::new(), keep: false }
    }

    pub(super) fn begin_file(&mut self) -> Result<(), BackupError> {
        let failed = || BackupError::io(format!("could not write a spool file into {}", self.folder.display()));
        create_private_folder(&self.folder).map_err(failed())?;
        let path = self.folder.join(format!("{}.{UNFINISHED}", Uuid::new_v4()));
        let file = private_file().write(true).create_new(true).open(&path).map_err(failed())?;
        // Another restore leaves it alone until this process ends.
        file.lock().map_err(failed())?;
        self.files.push(RestoredFile { path, file, digest: Xxh3::new() });
        Ok(())
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let Some(last) = self.files.last_mut() else {
            return Err(BackupError::damaged("the spool", "bytes without a file"));
        };
        last.digest.update(bytes);
        last.file.write_all(bytes).map_err(BackupError::io(format!("could not write {}", last.path.display())))
    }

    /// Gives the files the names under which a panel finds and replays them. A name follows from the content, so that a
    /// restore that is repeated leaves no file twice.
    pub(super) fn publish(&mut self) -> Result<(), BackupError> {
        for file in &mut self.files {
            let path = self.folder.join(format!("{}.log", Uuid::from_u128(file.digest.digest128())));
            // A panel that starts now takes over what nobody has locked.
            let moved =
                file.file.sync_all().and_then(|()| fs::rename(&file.path, &path)).and_then(|()| file.file.unlock());
            moved.map_err(BackupError::io(format!("could not write {}", path.display())))?;
            file.path = path;
        }
        remove_left_behind(&self.folder);
        if self.files.is_empty() {
            return Ok(());
        }
        let synced = sync_folder(&self.folder);
        synced.map_err(BackupError::io(format!("could not write {}", self.folder.display())))
    }

    /// Keeps the files, because the database that they belong to is there.
    pub(super) fn keep(mut self) {
        self.keep = true;
    }
}

/// Removes what restores that were killed have left. One that runs, for another database, has its files locked. What can't be removed disturbs
/// nobody.
fn remove_left_behind(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_left = || File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if path.extension().is_some_and(|it| it == UNFINISHED) && is_left() {
            drop(fs::remove_file(path));
        }
    }
}

impl Drop for RestoredSpool {
    fn drop(&mut self) {
        if !self.keep {
            for file in &self.files {
                drop(fs::remove_file(&file.path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{NodeId, UserId};
    use crate::domain::moment::Moment;
    use crate::domain::usage::UsageReply;

    #[test]
    fn reply_that_is_stored_before_the_files_are_opened_is_in_them() {
        let data_dir = tempfile::tempdir().expect("a folder");
        let (folder, id) = (data_dir.path().join(spool::FOLDER), Uuid::from_u128(2));
        let mut spool = spool::Spool::create(&folder, Uuid::from_u128(1)).expect("a spool");
        let reply = UsageReply::new(NodeId(3), Moment::from_micros(0), 1.0, [(UserId(1), 5)]);
        spool.append(id, &reply).expect("written");
        let written = spool.len();
        let bytes = |held: &HeldSpool| -> u64 { held.files().expect("the files").iter().map(Take::limit).sum() };

        let held = HeldSpool::of(data_dir.path().to_owned()).expect("held");
        spool.remove(id).expect("removed");
        assert_eq!(bytes(&held), written, "the snapshot of the database may be older than the reply");
        drop(held);
        spool.remove(id).expect("removed");
        assert_eq!(bytes(&HeldSpool::of(data_dir.path().to_owned()).expect("held")), 0);
    }

    #[test]
    fn what_a_killed_restore_has_left_is_removed_by_the_next_one() {
        let data_dir = tempfile::tempdir().expect("a folder");
        let folder = data_dir.path().join(spool::FOLDER);
        fs::create_dir(&folder).expect("created");
        let (left, log) = (folder.join(format!("{}.{UNFINISHED}", Uuid::nil())), folder.join("panel.log"));
        fs::write(&log, "replies").expect("written");
        for contents in [&[&b"one"[..], b"two"][..], &[]] {
            fs::write(&left, "replies").expect("written");
            let mut spool = RestoredSpool::new(data_dir.path());
            for content in contents {
                spool.begin_file().expect("begun");
                spool.add(content).expect("written");
            }
            spool.publish().expect("published");
            assert!(!left.exists() && log.exists());
            assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1 + contents.len());
            drop(spool);
            assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1, "the panel's own");
        }
    }

    #[test]
    fn restores_into_two_databases_at_once_leave_each_other_alone() {
        let data_dir = tempfile::tempdir().expect("a folder");
        let mut restores = [&b"one"[..], b"two"].map(|content| {
            let mut spool = RestoredSpool::new(data_dir.path());
            spool.begin_file().expect("begun");
            spool.add(content).expect("written");
            spool
        });
        for spool in &mut restores {
            spool.publish().expect("published");
        }
        let files = fs::read_dir(data_dir.path().join(spool::FOLDER)).expect("the folder");
        assert!(files.flatten().all(|file| file.path().extension().is_some_and(|it| it == "log")));
        assert_eq!(restores.iter().map(|spool| spool.files.len()).sum::<usize>(), 2);
    }
}
