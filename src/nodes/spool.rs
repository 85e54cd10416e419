//! The spool: where a node's reply is safe before anything else happens to it.
//!
//! One file per process start, `DATA_DIR/spool/<instance>.log`, locked by its owner for life. A record is its length
//! (u32), the CRC-32 of its body (u32), both little endian, and the body. It is written and synced before the reply
//! goes to the database and dropped when it is there; a process that finds a file without an owner replays it.
//!
//! Before a node is asked, a record without entries is written under the batch's id. If that is all that an owner left
//! behind, a reply may have died with it, and whoever finds the file can say so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;
use uuid::Uuid;

use crate::domain::ids::NodeId;
use crate::domain::moment::{DAY, Moment};
use crate::domain::usage::{UsageReply, decode_entries, encode_entries};

/// Free space made sure of before nodes are asked: one reply with 300,000 users,
const RESERVE: u64 = 4 << 20;
/// and for each node as much as the largest reply so far, or one with 5,000 users.
const RESERVE_EACH: u64 = 64 << 10;
/// A record older than this is set aside, never replayed: batch ids are remembered only three times as long.
const TOO_OLD: i64 = 30 * DAY;
const HEADER: usize = 8;
/// From this size on, a file without replies is written anew although nodes are being asked.
const COMPACT: u64 = 1 << 20;
/// Batch id, node, time, coefficient.
const FIXED: usize = 16 + 8 + 8 + 8;

/// This process's own file.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: File,
    /// Nodes that are being asked, by the batch's id, with their records.
    asked: BTreeMap<Uuid, Vec<u8>>,
    /// Replies that are written and not yet in the database.
    open: BTreeSet<Uuid>,
    /// Bytes of the largest record so far.
    largest: u64,
    end: u64,
}

/// What was found in files without an owner.
#[derive(Debug, Default)]
pub struct Orphans {
    /// Replies to be staged, with their files, which may go when that is done.
    pub files: Vec<Orphan>,
}

/// One file without an owner, locked by us.
#[derive(Debug)]
pub struct Orphan {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
    /// Its replies, with their batch ids.
    pub replies: Vec<(Uuid, UsageReply)>,
    /// Nodes that were asked, and nothing is known of a reply.
    pub unanswered: Vec<NodeId>,
    /// Bytes at its end that are no whole record: a process died while writing them.
    pub torn: usize,
    /// Some of its records are too old to be replayed.
    pub too_old: usize,
}

impl Spool {
    /// Makes and locks this process's file under `folder`, creating the folder.
    pub fn create(folder: &Path, instance: Uuid) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{instance}.log"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        if !is_same_file(&file, &path) {
            return Err(io::Error::other("another process took the new spool file for an orphan"));
        }
        File::open(folder)?.sync_all()?;
        Ok(Self { path, file, asked: BTreeMap::new(), open: BTreeSet::new(), largest: RESERVE_EACH, end: 0 })
    }

    /// Makes sure that the replies of so many nodes will fit, as far as one can know. An error means: do not ask any node
    /// now.
    pub fn reserve(&self, nodes: usize) -> io::Result<()> {
        let room = RESERVE.saturating_add(self.largest.saturating_mul(nodes as u64));
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.end, room) {
            // A file system that can't reserve (NFS) is not a full one.
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down for good which nodes are about to be asked: as replies without entries, each under the id that its
    /// reply will have. An error means: do not ask them.
    pub fn ask(&mut self, asked: &[(Uuid, UsageReply)]) -> io::Result<()> {
        let records: Vec<(Uuid, Vec<u8>)> =
            asked.iter().map(|(id, reply)| Ok((*id, record(*id, reply)?))).collect::<io::Result<_>>()?;
        let all: Vec<u8> = records.iter().flat_map(|(_, record)| record).copied().collect();
        self.write_at_end(&all)?;
        self.asked.extend(records);
        Ok(())
    }

    /// Writes a reply down for good. On an error the file is as it was.
    pub fn append(&mut self, id: Uuid, reply: &UsageReply) -> io::Result<()> {
        let record = record(id, reply)?;
        self.write_at_end(&record)?;
        self.largest = self.largest.max(record.len() as u64);
        self.asked.remove(&id);
        self.open.insert(id);
        Ok(())
    }

    /// A reply is in the database, or certainly will not come: when nothing else is on the way, the file is emptied.
    pub fn settled(&mut self, id: Uuid) -> io::Result<()> {
        self.asked.remove(&id);
        self.open.remove(&id);
        // A node that never answers must not make the file grow for ever.
        if self.open.is_empty() && self.end > 0 && (self.asked.is_empty() || self.end > COMPACT) {
            self.file.set_len(0)?;
            self.end = 0;
            let asked: Vec<u8> = self.asked.values().flatten().copied().collect();
            if !asked.is_empty() {
                self.write_at_end(&asked)?;
            }
        }
        Ok(())
    }

    /// Bytes written and not yet in the database.
    pub const fn len(&self) -> u64 {
        self.end
    }

    /// Nothing is on the way.
    pub const fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Removes the file when nothing is on the way: a process that stops in good order leaves none behind.
    pub fn close(&self) -> io::Result<()> {
        if self.open.is_empty() && self.asked.is_empty() { fs::remove_file(&self.path) } else { Ok(()) }
    }

    /// On an error the file is as it was.
    fn write_at_end(&mut self, records: &[u8]) -> io::Result<()> {
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| {
            self.file.write_all(records)?;
            self.file.sync_data()
        });
        match written {
            Ok(()) => self.end += records.len() as u64,
            // Half a record would hide every one after it.
            Err(_) => drop(self.file.set_len(self.end)),
        }
        written
    }
}

/// Reads every file under `folder` whose owner is gone.
pub fn orphans(folder: &Path, now: Moment) -> io::Result<Orphans> {
    let mut found = Orphans::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !locked || !is_same_file(&file, &path) {
            continue;
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let (records, torn) = decode_all(&content);
        let (asked, replies): (Vec<_>, Vec<_>) = records.into_iter().partition(|(_, reply)| reply.entries.is_empty());
        let answered: BTreeSet<Uuid> = replies.iter().map(|(id, _)| *id).collect();
        let unanswered = asked.iter().filter(|(id, _)| !answered.contains(id)).map(|(_, reply)| reply.node).collect();
        let (replies, too_old): (Vec<_>, Vec<_>) =
            replies.into_iter().partition(|(_, reply)| now.since(reply.fetched_at) <= TOO_OLD);
        found.files.push(Orphan { path, _file: file, replies, unanswered, torn, too_old: too_old.len() });
    }
    Ok(found)
}

impl Orphan {
    /// All its replies are in the database: the file goes. With records too old to replay it stays, under another name.
    pub fn settle(self) -> io::Result<()> {
        if self.too_old > 0 {
            fs::rename(&self.path, self.path.with_extension("old"))
        } else {
            fs::remove_file(&self.path)
        }
    }
}

/// Between opening a file and locking it somebody may have removed it.
fn is_same_file(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(theirs)) = (file.metadata(), fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
}

/// A whole record.
fn record(id: Uuid, reply: &UsageReply) -> io::Result<Vec<u8>> {
    let body = encode(id, reply);
    let length = u32::try_from(body.len()).map_err(|_| io::Error::other("a reply of 4 GiB"))?;
    let mut record = Vec::with_capacity(HEADER + body.len());
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    record.extend_from_slice(&body);
    Ok(record)
}

fn encode(id: Uuid, reply: &UsageReply) -> Vec<u8> {
    let mut body = Vec::with_capacity(FIXED + reply.entries.len() * 12);
    body.extend_from_slice(id.as_bytes());
    body.extend_from_slice(&reply.node.0.to_le_bytes());
    body.extend_from_slice(&reply.fetched_at.micros().to_le_bytes());
    body.extend_from_slice(&reply.coefficient.to_le_bytes());
    body.extend_from_slice(&encode_entries(&reply.entries));
    body
}

fn decode(body: &[u8]) -> Option<(Uuid, UsageReply)> {
    let (id, rest) = body.split_first_chunk::<16>()?;
    let (node, rest) = rest.split_first_chunk::<8>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (coefficient, entries) = rest.split_first_chunk::<8>()?;
    let reply = UsageReply {
        node: NodeId(i64::from_le_bytes(*node)),
        fetched_at: Moment::from_micros(i64::from_le_bytes(*at)),
        coefficient: f64::from_le_bytes(*coefficient),
        entries: decode_entries(entries)?,
    };
    Some((Uuid::from_bytes(*id), reply))
}

/// All whole records, and the number of bytes after them.
fn decode_all(mut content: &[u8]) -> (Vec<(Uuid, UsageReply)>, usize) {
    let mut records = Vec::new();
    while let Some((record, rest)) = decode_first(content) {
        records.push(record);
        content = rest;
    }
    (records, content.len())
}

fn decode_first(content: &[u8]) -> Option<((Uuid, UsageReply), &[u8])> {
    let (length, rest) = content.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (crc32fast::hash(body) == u32::from_le_bytes(*crc)).then_some((decode(body)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UserId;

    const NOW: Moment = Moment::from_micros(1_700_000_000_000_000);

    fn reply(bytes: u64) -> UsageReply {
        UsageReply::new(NodeId(3), NOW, 1.5, [(UserId(7), bytes)])
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn what_a_dead_process_wrote_is_found_and_what_a_live_one_writes_is_left_alone() {
        let folder = folder();
        let mut live = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
        live.reserve(3).expect("space");
        live.append(Uuid::from_u128(10), &reply(5)).expect("written");
        assert!(orphans(folder.path(), NOW).expect("read").files.is_empty());
        drop(live);
        let mut found = orphans(folder.path(), NOW).expect("read").files;
        let orphan = found.pop().expect("one file");
        assert_eq!(orphan.replies, [(Uuid::from_u128(10), reply(5))]);
        assert_eq!((orphan.torn, orphan.too_old, found.len()), (0, 0, 0));
        orphan.settle().expect("removed");
        assert!(orphans(folder.path(), NOW).expect("read").files.is_empty());
    }

    #[test]
    fn a_torn_tail_is_dropped_and_told() {
        let folder = folder();
        let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
        for n in 0..3 {
            spool.append(Uuid::from_u128(n), &reply(5)).expect("written");
        }
        let whole = spool.len() / 3;
        spool.file.set_len(spool.len() - 1).expect("torn");
        drop(spool);
        let orphan = orphans(folder.path(), NOW).expect("read").files.pop().expect("one file");
        assert_eq!((orphan.replies.len(), orphan.torn as u64), (2, whole - 1));
    }

    #[test]
    fn who_was_asked_and_did_not_answer_is_known_afterwards() {
        let folder = folder();
        let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
        let asked = |n: u128, node| (Uuid::from_u128(n), UsageReply::new(NodeId(node), NOW, 1.5, []));
        spool.ask(&[asked(1, 11), asked(2, 12), asked(3, 13)]).expect("written");
        spool.append(Uuid::from_u128(2), &reply(5)).expect("written");
        spool.settled(Uuid::from_u128(3)).expect("it had nothing to say");
        spool.settled(Uuid::from_u128(2)).expect("it is in the database");
        drop(spool);
        let orphan = orphans(folder.path(), NOW).expect("read").files.pop().expect("one file");
        assert_eq!((orphan.replies.len(), orphan.torn), (1, 0));
        assert_eq!(orphan.unanswered, [NodeId(11), NodeId(13)], "a doubt is told rather than not");
    }

    #[test]
    fn a_node_that_never_answers_does_not_make_the_file_grow() {
        let folder = folder();
        let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
        spool.ask(&[(Uuid::from_u128(1), UsageReply::new(NodeId(11), NOW, 1.0, []))]).expect("written");
        let many = UsageReply::new(NodeId(12), NOW, 1.0, (0..100_000).map(|user| (UserId(user), 1)));
        for n in 2..5 {
            spool.append(Uuid::from_u128(n), &many).expect("written");
            spool.settled(Uuid::from_u128(n)).expect("it is in the database");
            assert!(spool.len() < 100, "{}", spool.len());
        }
        drop(spool);
        let orphan = orphans(folder.path(), NOW).expect("read").files.pop().expect("one file");
        assert_eq!((orphan.unanswered, orphan.replies.len()), (vec![NodeId(11)], 0));
    }

    #[test]
    fn old_records_are_set_aside() {
        let folder = folder();
        let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
        spool.append(Uuid::from_u128(1), &reply(5)).expect("written");
        drop(spool);
        let orphan = orphans(folder.path(), NOW.plus(31 * DAY)).expect("read").files.pop().expect("one file");
        assert_eq!((orphan.replies.len(), orphan.too_old), (0, 1));
        orphan.settle().expect("set aside");
        assert!(orphans(folder.path(), NOW).expect("read").files.is_empty());
        assert!(folder.path().join(format!("{}.old", Uuid::from_u128(1))).exists());
    }

    #[test]
    fn the_file_is_emptied_when_all_is_settled_and_removed_at_the_end() {
        let folder = folder();
        let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
        spool.append(Uuid::from_u128(1), &reply(5)).expect("written");
        spool.append(Uuid::from_u128(2), &reply(6)).expect("written");
        spool.settled(Uuid::from_u128(1)).expect("first");
        assert!(!spool.is_empty());
        spool.settled(Uuid::from_u128(2)).expect("second");
        assert!(spool.is_empty());
        spool.append(Uuid::from_u128(3), &reply(7)).expect("written again from the start");
        spool.settled(Uuid::from_u128(3)).expect("third");
        spool.close().expect("removed");
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 0);
    }
}
