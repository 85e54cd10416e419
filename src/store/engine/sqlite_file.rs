//! Notices that the SQLite file, or one of the two files beside it, was deleted or replaced while it is open.
//!
//! SQLite itself would go on: what it writes then is in no file that anybody can open again. So nothing is read or
//! written any more, until the process is restarted: a file that is put back may be an older one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::moment::Moment;
use crate::foundation::lock;

/// Readers look this often at most: a look costs as much as a tenth of a small statement.
const PAUSE: Duration = Duration::from_millis(250);

/// The files of an open database. Clones share what they found.
#[derive(Clone, Debug)]
pub(in crate::store) struct SqliteFile(Arc<Files>);

#[derive(Debug)]
struct Files {
    /// The database, its log of changes (`-wal`) and the index of the log (`-shm`).
    files: Vec<Watched>,
    /// The first file that was not the same any more.
    replaced: OnceLock<FileReplaced>,
    looked: Mutex<Instant>,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// Device and inode, once the file exists.
    identity: OnceLock<(u64, u64)>,
}

/// The file of the log of changes. A commit changes it: its size, or the time of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogState {
    inode: u64,
    size: u64,
    /// By the host's clock.
    pub(super) changed: Moment,
    nanoseconds: i64,
}

/// A file that was deleted or replaced.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} was deleted or replaced while it was open", .0.display())]
pub(super) struct FileReplaced(PathBuf);

impl SqliteFile {
    /// Watches the file that was just opened. `with_log`: also the two files beside it, which only a panel that writes
    /// keeps open.
    pub(in crate::store) fn watch(path: &Path, with_log: bool) -> Self {
        // SQLite puts the other two files beside the real file, not beside a link to it.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let beside = |end: &str| {
            let mut name = real.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        let mut paths = vec![path.to_owned()];
        if with_log {
            paths.extend([beside("-wal"), beside("-shm")]);
        }
        let files = paths.into_iter().map(|path| Watched { path, identity: OnceLock::new() }).collect();
        let files = Files { files, replaced: OnceLock::new(), looked: Mutex::new(Instant::now()) };
        for file in &files.files {
            file.is_the_same();
        }
        Self(Arc::new(files))
    }

    /// Fails if a file is not the same any more.
    pub(in crate::store) fn check(&self) -> sqlx::Result<()> {
        if self.0.replaced.get().is_none()
            && let Some(file) = self.0.files.iter().find(|file| !file.is_the_same())
        {
            // Another thread may have found the same.
            let _ = self.0.replaced.set(FileReplaced(file.path.clone()));
        }
        match self.0.replaced.get() {
            None => Ok(()),
            Some(replaced) => Err(sqlx::Error::Io(io::Error::other(replaced.clone()))),
        }
    }

    /// The log as it is now; `None` if it can't be told.
    pub(super) fn log_state(&self) -> Option<LogState> {
        let log = fs::metadata(&self.0.files.get(1)?.path).ok()?;
        let changed = Moment::from_micros(log.mtime() * 1_000_000 + log.mtime_nsec() / 1_000);
        Some(LogState { inode: log.ino(), size: log.size(), changed, nanoseconds: log.mtime_nsec() })
    }

    /// Like `check`, but looks only if nobody has looked for a while.
    pub(super) fn check_now_and_then(&self) -> sqlx::Result<()> {
        let due = {
            let mut looked = lock(&self.0.looked);
            let due = looked.elapsed() > PAUSE;
            if due {
                *looked = Instant::now();
            }
            due
        };
        if due || self.0.replaced.get().is_some() { self.check() } else { Ok(()) }
    }
}

impl Watched {
    fn is_the_same(&self) -> bool {
        let found = match fs::metadata(&self.path) {
            Ok(found) => Some((found.dev(), found.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // It can't be told.
            Err(_) => return true,
        };
        match (self.identity.get(), found) {
            (None, None) => true,
            (None, Some(found)) => *self.identity.get_or_init(|| found) == found,
            (Some(before), found) => Some(*before) == found,
        }
    }
}
