//! Holds off removals from the spool while a back-up reads it: a lock on the folder.
//!
//! A back-up takes it before its snapshot of the database and gives it back once it has read the files. So each reply is
//! in the files, or was in the database before the snapshot. Replies are written meanwhile as ever.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

/// Nothing is removed from the spool until this is dropped.
#[derive(Debug)]
pub struct Hold {
    _folder: Option<File>,
}

/// Holds off removals from a spool folder; waits for one that is under way, which takes milliseconds. A folder that is
/// missing has no replies.
pub fn hold(folder: &Path) -> io::Result<Hold> {
    let file = match File::open(folder) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Hold { _folder: None }),
        Err(error) => return Err(error),
    };
    retry_on_intr(|| flock(&file, FlockOperation::LockShared))?;
    Ok(Hold { _folder: Some(file) })
}

/// Permission to remove replies, until it is dropped.
#[derive(Debug)]
pub(super) struct Removal {
    _folder: Option<File>,
}

/// Returns none while a back-up holds removals off, or another process removes something: the next attempt does it.
pub(super) fn removal(folder: &Path) -> Option<Removal> {
    let Ok(file) = File::open(folder) else { return Some(Removal { _folder: None }) };
    match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Err(Errno::WOULDBLOCK) => None,
        // Where folders can't be locked, nobody can hold removals off.
        _ => Some(Removal { _folder: Some(file) }),
    }
}
