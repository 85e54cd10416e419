//! The spool: a node's reply is written to disk before anything else happens to it, because it is the only copy.
//!
//! Each process start has one file, `DATA_DIR/spool/<instance>.log`, which its owner keeps locked. A record is written
//! and synced before its reply is sent to the database, and dropped when the reply is stored there. A process that
//! finds a file without an owner replays it.
//!
//! Before a node is asked, a record without entries announces the request under the batch's id. If that is the only
//! record of the batch in an ownerless file, the reply may have been lost, and the process that replays the file
//! reports it.
//!
//! A back-up holds removals off while it reads the files.
//!
//! Damaged bytes, and replies that the database will never accept, are set aside in `<instance>.aside`. The records
//! around them are replayed.

mod aside;
#[cfg(test)]
mod damage;
mod file_lock;
mod hold;
mod orphan;
mod record;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use uuid::Uuid;

use crate::domain::spool_use::SpoolUse;
use crate::domain::usage::UsageReply;
use crate::foundation::{create_private_folder, private_file, sync_folder};
use aside::Aside;

pub use hold::{Hold, hold};
pub use orphan::{Contents, Orphan, SpooledReply, orphans};

/// Name of the folder with the spool files.
pub const FOLDER: &str = "spool";
/// Bytes reserved before nodes are asked, whatever their number: a reply with 300,000 users.
const RESERVE: u64 = 4 << 20;
/// Bytes reserved per node before the first reply: a reply with 5,000 users. Later the largest reply so far, if larger.
const RESERVE_PER_NODE: u64 = 64 << 10;
/// Size in bytes from which a file without unstaged replies is rewritten although requests are open.
const COMPACT: u64 = 1 << 20;

/// Returns what the spool of a data folder holds.
pub fn in_use(data_dir: &Path) -> io::Result<SpoolUse> {
    let mut spool = SpoolUse::default();
    for path in unfinished(data_dir)? {
        // Its owner may empty or remove a file at any time.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.len() == 0 {
            continue;
        }
        spool.files += 1;
        spool.bytes += metadata.len();
        let written = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let written = written.and_then(|at| i64::try_from(at.as_micros()).ok());
        spool.since = [spool.since, written].into_iter().flatten().min();
    }
    Ok(spool)
}

/// Returns the spool files of a data folder that are not empty: their replies may not be in the database yet. A folder without a
/// spool has none.
pub fn unfinished(data_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in files_in(&data_dir.join(FOLDER))? {
        if !is_log(&path) {
            continue;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == 0 => {}
            // A process that has replayed it has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => found.push(path),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The files in a spool's folder, if there is one.
fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// True for a spool file that its process has named.
fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

/// This process's spool file.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: File,
    /// Announced requests without a reply, by batch id, with their records.
    announced: BTreeMap<Uuid, Vec<u8>>,
    /// Batch ids of replies that are written and not in the database yet.
    unstaged: BTreeSet<Uuid>,
    /// Bytes of the largest record so far.
    largest: u64,
    end: u64,
}

impl Spool {
    /// Creates and locks this process's file under `folder`. Creates the folder if it is missing.
    pub fn create(folder: &Path, instance: Uuid) -> io::Result<Self> {
        create_private_folder(folder)?;
        let path = folder.join(format!("{instance}.log"));
        // The file is renamed once it is locked: to a process that looks for orphans, an unlocked file has no owner.
        let unlocked = path.with_extension("new");
        let file = private_file().read(true).write(true).create_new(true).open(&unlocked)?;
        file_lock::lock(&file, &unlocked)?;
        fs::rename(&unlocked, &path)?;
        sync_folder(folder)?;
        Ok(Self {
            path,
            file,
            announced: BTreeMap::new(),
            unstaged: BTreeSet::new(),
            largest: RESERVE_PER_NODE,
            end: 0,
        })
    }

    /// Creates a file under `folder` as [`Spool::create`] does, and removes it and the folders that were missing.
    pub fn probe(folder: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            folder.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.exists()).collect();
        let tried = Self::create(folder, Uuid::new_v4()).and_then(|spool| fs::remove_file(&spool.path));
        // A folder that is in use by now is not removed.
        for it in missing {
            drop(fs::remove_dir(it));
        }
        tried
    }

    /// Reserves disk space for the replies of `nodes` nodes, estimated from earlier replies. After an error no node may
    /// be asked.
    pub fn reserve(&self, nodes: usize) -> io::Result<()> {
        let bytes = RESERVE.saturating_add(self.largest.saturating_mul(nodes as u64));
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.end, bytes) {
            // A file system that can't reserve space (NFS) may still have some.
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down which nodes are about to be asked, as replies without entries under the ids of the replies to come.
    /// After an error these nodes must not be asked.
    pub fn announce(&mut self, requests: &[(Uuid, UsageReply)]) -> io::Result<()> {
        if requests.is_empty() {
            return Ok(());
        }
        let records: Vec<(Uuid, Vec<u8>)> =
            requests.iter().map(|(id, request)| Ok((*id, record::encode(*id, request)?))).collect::<io::Result<_>>()?;
        let all: Vec<u8> = records.iter().flat_map(|(_, record)| record).copied().collect();
        self.write_at_end(&all)?;
        self.announced.extend(records);
        Ok(())
    }

    /// Writes a reply and syncs it to disk. An error leaves the file unchanged.
    pub fn append(&mut self, id: Uuid, reply: &UsageReply) -> io::Result<()> {
        let record = record::encode(id, reply)?;
        self.write_at_end(&record)?;
        self.largest = self.largest.max(record.len() as u64);
        self.announced.remove(&id);
        self.unstaged.insert(id);
        Ok(())
    }

    /// Drops a batch whose reply is in the database or will not come. The file is truncated when no replies are left; while
    /// removals are held off, by a later removal.
    pub fn remove(&mut self, id: Uuid) -> io::Result<()> {
        self.announced.remove(&id);
        self.unstaged.remove(&id);
        // A node that never answers must not make the file grow for ever.
        if self.unstaged.is_empty()
            && self.end > 0
            && (self.announced.is_empty() || self.end > COMPACT)
            && let Some(_allowed) = self.removal()
        {
            self.file.set_len(0)?;
            self.end = 0;
            let announced: Vec<u8> = self.announced.values().flatten().copied().collect();
            if !announced.is_empty() {
                self.write_at_end(&announced)?;
            }
        }
        Ok(())
    }

    /// Sets a reply aside that the database will never accept. Returns the file that has it; the batch must be removed.
    pub fn set_aside(&self, id: Uuid, reply: &UsageReply, reason: &str) -> io::Result<Option<PathBuf>> {
        let mut aside = Aside::of(&self.path);
        aside.add(&record::encode(id, reply)?, reason)?;
        aside.commit()
    }

    /// Bytes of the file.
    pub const fn len(&self) -> u64 {
        self.end
    }

    /// Returns whether the file has no records.
    pub const fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Removes the file if it has no unstaged replies and no open requests. While removals are held off, it stays for the
    /// next process.
    pub fn close(&self) -> io::Result<()> {
        let is_done = self.unstaged.is_empty() && self.announced.is_empty();
        match self.removal() {
            Some(_allowed) if is_done => fs::remove_file(&self.path),
            _ => Ok(()),
        }
    }

    fn removal(&self) -> Option<hold::Removal> {
        hold::removal(self.path.parent().unwrap_or(Path::new(".")))
    }

    /// An error leaves the file unchanged.
    fn write_at_end(&mut self, records: &[u8]) -> io::Result<()> {
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| {
            self.file.write_all(records)?;
            self.file.sync_data()
        });
        match written {
            Ok(()) => self.end += records.len() as u64,
            // An incomplete record would hide every record after it.
            Err(_) => drop(self.file.set_len(self.end)),
        }
        written
    }
}
