//! The lock of a folder's copy: of several processes with one `DATA_DIR`, one follows.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::foundation::{create_private_folder, private_file};

/// The right to follow, until it is dropped or the process ends.
#[derive(Debug)]
pub struct FollowerLock {
    _file: File,
}

impl FollowerLock {
    /// Takes the lock of this file, which is created if it is missing; `None` if another process has it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            create_private_folder(folder)?;
        }
        let file = private_file().write(true).create(true).truncate(false).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
