//! The lock that a spool file's owner holds.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Locks an open spool file. Fails if the file has an owner, or was removed between opening and locking it.
pub(super) fn lock(file: &File, path: &Path) -> io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)?;
    let (locked, current) = (file.metadata()?, fs::metadata(path)?);
    if (locked.dev(), locked.ino()) == (current.dev(), current.ino()) {
        Ok(())
    } else {
        Err(io::Error::other("another process replaced the spool file while it was being locked"))
    }
}
