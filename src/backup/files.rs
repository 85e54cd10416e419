//! Back-ups in files: written under another name, then renamed; the newest and the oldest of a folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::BackupError;
use super::names::{is_name, is_partial, partial_name, too_many};
use crate::foundation::{private_file, sync_folder};

/// Age from which nobody writes a file any more.
pub(super) const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3_600);

/// A file that is being written. It gets its name when it is complete; dropped before, it is removed.
#[derive(Debug)]
pub struct PendingFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    done: bool,
}

/// Returns the newest back-up of a folder.
pub(super) fn newest(folder: &Path) -> Result<PathBuf, BackupError> {
    let missing = || BackupError::Refused(format!("{} has no back-up", folder.display()));
    let newest = names(folder, is_name)?.pop().ok_or_else(missing)?;
    Ok(folder.join(newest))
}

/// Removes the back-ups of a folder but the one that was just made and the newest others, `keep` in all. Returns their number.
pub(super) fn remove_all_but(folder: &Path, made: &str, keep: usize) -> Result<usize, BackupError> {
    let old = too_many(names(folder, is_name)?, String::as_str, made, keep);
    for name in &old {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            // By another process, or by a person.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(BackupError::io(format!("could not remove {}", path.display())))?,
        }
    }
    Ok(old.len())
}

/// Removes what processes that were killed have left of back-ups. Returns the number of files.
pub(super) fn remove_left_behind(folder: &Path) -> Result<usize, BackupError> {
    let mut removed = 0;
    for name in names(folder, is_partial)? {
        let path = folder.join(name);
        // Another process may have finished or removed it.
        let Ok(written) = fs::metadata(&path).and_then(|metadata| metadata.modified()) else { continue };
        if written.elapsed().is_ok_and(|age| age > LEFT_BEHIND) {
            fs::remove_file(&path).map_err(BackupError::io(format!("could not remove {}", path.display())))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Names of this kind in a folder, of back-ups the oldest first.
fn names(folder: &Path, is_wanted: fn(&str) -> bool) -> Result<Vec<String>, BackupError> {
    let reading = || BackupError::io(format!("could not read the folder {}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(reading())? {
        let name = entry.map_err(reading())?.file_name();
        names.extend(name.to_str().filter(|name| is_wanted(name)).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

impl PendingFile {
    /// Begins to write a file, which must not exist.
    pub(super) fn begin(path: PathBuf) -> Result<Self, BackupError> {
        if path.exists() {
            return Err(BackupError::Refused(format!("{} exists already; name another file", path.display())));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = path.with_file_name(partial_name(&name));
        let file = private_file().write(true).create_new(true).open(&temporary);
        let file = file.map_err(BackupError::io(format!("could not create {}", temporary.display())))?;
        Ok(Self { file, temporary, path, done: false })
    }

    /// Gives the file its name once it is on the disk. Returns the path and the size.
    pub(super) fn finish(mut self) -> Result<(PathBuf, u64), BackupError> {
        let path = self.path.clone();
        let finished = (|| {
            self.file.sync_all()?;
            let bytes = self.file.metadata()?.len();
            // Unlike a renamed file, a linked one replaces none.
            fs::hard_link(&self.temporary, &path).or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Err(error),
                _ => fs::rename(&self.temporary, &path),
            })?;
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
            sync_folder(folder)?;
            Ok(bytes)
        })();
        let bytes = finished.map_err(BackupError::io(format!("could not finish {}", path.display())))?;
        self.done = true;
        drop(fs::remove_file(&self.temporary));
        Ok((path, bytes))
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.done {
            drop(fs::remove_file(&self.temporary));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_came_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("one.backup");
        let mut pending = PendingFile::begin(path.clone()).expect("it begins");
        pending.write_all(b"the second").expect("written");
        fs::write(&path, "the first").expect("written");
        let error = pending.finish().expect_err("another process made one of this name").to_string();
        assert!(error.starts_with("could not finish"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is read"), "the first");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "the second one is left half-written");
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_after_a_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let create = |name: &str, age: Duration| {
            let path = folder.path().join(name);
            fs::write(&path, "part").expect("written");
            let file = File::options().write(true).open(&path).expect("it opens");
            let now = file.metadata().and_then(|metadata| metadata.modified()).expect("its time");
            file.set_modified(now - age).expect("an older time");
            path
        };
        let (day, name) = (Duration::from_secs(24 * 3_600), "sarban-2026-11-30T00-53-20Z.backup");
        let left = create(&partial_name(name), 2 * day);
        let stays = [
            create(&partial_name(name), day / 2),
            create(name, 2 * day),
            create("sarban-before-upgrade.backup", 2 * day),
            create("download.partial", 2 * day),
        ];
        assert_eq!(remove_left_behind(folder.path()).expect("removed"), 1);
        assert!(!left.exists() && stays.iter().all(|path| path.exists()));
        assert_eq!(newest(folder.path()).expect("one"), folder.path().join(name), "not the one that somebody named");
        assert_eq!(remove_all_but(folder.path(), name, 1).expect("removed"), 0);
    }
}
