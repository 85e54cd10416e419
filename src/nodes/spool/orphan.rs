//! Spool files of processes that are gone.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::file_lock::lock;
use super::record::decode_all;
use crate::domain::ids::NodeId;
use crate::domain::moment::{DAY, Moment};
use crate::domain::usage::UsageReply;

/// Age in microseconds at which a record is set aside instead of replayed. Batch ids are remembered three times as
/// long.
const TOO_OLD: i64 = 30 * DAY;

/// A spool file without an owner, locked by this process.
#[derive(Debug)]
pub struct Orphan {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
    /// Replies to stage, with their batch ids.
    pub replies: Vec<(Uuid, UsageReply)>,
    /// Nodes that were asked without a recorded reply.
    pub unanswered: Vec<NodeId>,
    /// Bytes at the end of the file that are not a complete record: the process died while writing it.
    pub torn_bytes: usize,
    /// Number of records that are too old to replay.
    pub too_old: usize,
}

/// Reads and locks every spool file under `folder` whose owner is gone.
pub fn orphans(folder: &Path, now: Moment) -> io::Result<Vec<Orphan>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            found.extend(Orphan::open(path, now)?);
        }
    }
    Ok(found)
}

impl Orphan {
    /// `None`: the file has an owner, or is gone.
    fn open(path: PathBuf, now: Moment) -> io::Result<Option<Self>> {
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(&path) else { return Ok(None) };
        if lock(&file, &path).is_err() {
            return Ok(None);
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let (records, torn_bytes) = decode_all(&content);
        let (asked, replies): (Vec<_>, Vec<_>) = records.into_iter().partition(|(_, reply)| reply.is_empty());
        let answered: BTreeSet<Uuid> = replies.iter().map(|(id, _)| *id).collect();
        let unanswered = asked.iter().filter(|(id, _)| !answered.contains(id)).map(|(_, reply)| reply.node).collect();
        let (replies, too_old): (Vec<_>, Vec<_>) =
            replies.into_iter().partition(|(_, reply)| now.since(reply.fetched_at) <= TOO_OLD);
        Ok(Some(Self { path, _file: file, replies, unanswered, torn_bytes, too_old: too_old.len() }))
    }

    /// Removes the file after its replies are staged. A file with records too old to replay is renamed instead.
    pub fn remove(self) -> io::Result<()> {
        if self.too_old > 0 {
            fs::rename(&self.path, self.path.with_extension("old"))
        } else {
            fs::remove_file(&self.path)
        }
    }
}
