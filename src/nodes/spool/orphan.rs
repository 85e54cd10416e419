//! Spool files of processes that are gone.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::aside::Aside;
use super::file_lock::lock;
use super::hold::removal;
use super::scan::{Part, Parts};
use super::{files_in, is_log};
use crate::domain::ids::NodeId;
use crate::domain::moment::{DAY, Moment};
use crate::domain::usage::UsageReply;

/// Age in microseconds at which a record is set aside instead of replayed. Batch ids are remembered three times as
/// long.
const TOO_OLD: i64 = 30 * DAY;
/// Age of an empty file whose process died before it could name it. A live process names its file within milliseconds.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// A spool file without an owner, locked by this process. Its records are read one at a time.
#[derive(Debug)]
pub struct Orphan {
    path: PathBuf,
    /// Holds the lock.
    file: File,
    parts: Parts<File>,
    aside: Aside,
    /// Nodes that were asked and whose replies have not been read yet, by batch id.
    asked: BTreeMap<Uuid, NodeId>,
    contents: Contents,
}

/// A reply in a spool file.
#[derive(Clone, Debug, PartialEq)]
pub struct SpooledReply {
    /// Batch id.
    pub id: Uuid,
    /// The reply.
    pub reply: UsageReply,
    /// Its place in the file.
    bytes: Range<u64>,
}

/// Summary of a spool file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Nodes that were asked without a recorded reply.
    pub unanswered: Vec<NodeId>,
    /// Bytes at the end of the file that are the beginning of a record: the process died while writing it.
    pub torn_bytes: u64,
    /// Bytes of the file that are no record. Their traffic is unknown.
    pub damaged_bytes: u64,
    /// Number of replies that are set aside.
    pub refused: usize,
    /// Traffic in these replies, in bytes.
    pub refused_traffic: i64,
    /// Why the last of them is.
    pub refused_because: &'static str,
    /// The file to which damaged bytes and refused replies were moved.
    pub aside: Option<PathBuf>,
}

/// Locks every spool file under `folder` whose owner is gone, and removes empty files that a process left while it
/// started.
pub fn orphans(folder: &Path) -> io::Result<Vec<Orphan>> {
    let mut found = Vec::new();
    for path in files_in(folder)? {
        if is_log(&path) {
            found.extend(Orphan::open(path)?);
        } else if path.extension().is_some_and(|extension| extension == "new") && is_left_behind(&path) {
            // Another process may have removed it first.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(found)
}

/// True if the process that created this file is gone and has written nothing. An error means that the file is gone, or
/// has an owner.
fn is_left_behind(path: &Path) -> bool {
    let old_and_empty = |file: &File| -> io::Result<bool> {
        let metadata = file.metadata()?;
        let age = metadata.modified()?.elapsed().unwrap_or_default();
        Ok(metadata.len() == 0 && age > LEFT_BEHIND)
    };
    // A process that slept for a minute between creating and locking the file finds it gone, and fails to start.
    File::open(path).is_ok_and(|file| old_and_empty(&file).unwrap_or(false) && lock(&file, path).is_ok())
}

impl Orphan {
    /// `None`: the file has an owner, or is gone.
    fn open(path: PathBuf) -> io::Result<Option<Self>> {
        let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { return Ok(None) };
        if lock(&file, &path).is_err() {
            return Ok(None);
        }
        let parts = Parts::new(file.try_clone()?, file.metadata()?.len());
        let aside = Aside::of(&path);
        Ok(Some(Self { path, file, parts, aside, asked: BTreeMap::new(), contents: Contents::default() }))
    }

    /// Returns the next reply to stage, `None` at the end of the file. Damaged bytes and replies that can't be recorded
    /// are set aside.
    pub fn next_reply(&mut self, now: Moment) -> io::Result<Option<SpooledReply>> {
        while let Some(part) = self.parts.next()? {
            match part {
                Part::Record(id, reply, _) if reply.is_empty() => drop(self.asked.insert(id, reply.node)),
                Part::Record(id, reply, bytes) => {
                    self.asked.remove(&id);
                    let old = now.since(reply.fetched_at) > TOO_OLD;
                    let defect = reply.defect().or(old.then_some("the reply is older than 30 days"));
                    let reply = SpooledReply { id, reply, bytes };
                    match defect {
                        Some(defect) => self.set_aside(&reply, defect)?,
                        None => return Ok(Some(reply)),
                    }
                }
                Part::Damaged(bytes) => {
                    self.aside.copy(&self.file, &bytes, "damaged")?;
                    self.contents.damaged_bytes += bytes.end - bytes.start;
                }
                Part::Torn(bytes) => self.contents.torn_bytes += bytes.end - bytes.start,
            }
        }
        Ok(None)
    }

    /// Sets a reply aside that the database will never accept.
    pub fn set_aside(&mut self, reply: &SpooledReply, reason: &'static str) -> io::Result<()> {
        self.aside.copy(&self.file, &reply.bytes, reason)?;
        self.contents.refused += 1;
        self.contents.refused_traffic = self.contents.refused_traffic.saturating_add(reply.reply.bytes());
        self.contents.refused_because = reason;
        Ok(())
    }

    /// Removes the file after its replies are staged or set aside. Dropped without it, the orphan can be replayed again.
    /// Returns none while removals are held off.
    pub fn remove(mut self) -> io::Result<Option<Contents>> {
        let Some(_allowed) = removal(self.path.parent().unwrap_or(Path::new("."))) else { return Ok(None) };
        self.contents.aside = self.aside.commit()?;
        fs::remove_file(&self.path)?;
        self.contents.unanswered = self.asked.into_values().collect();
        Ok(Some(self.contents))
    }
}
