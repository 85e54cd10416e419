//! Records survive their process, and the file does not grow without need.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::{Spool, orphans};
use crate::domain::ids::{NodeId, UserId};
use crate::domain::moment::{DAY, Moment};
use crate::domain::usage::UsageReply;

const NOW: Moment = Moment::from_micros(1_700_000_000_000_000);

fn reply(bytes: u64) -> UsageReply {
    UsageReply::new(NodeId(3), NOW, 1.5, [(UserId(7), bytes)])
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn orphans_are_files_of_dead_processes_only() {
    let folder = folder();
    let mut live = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    live.reserve(3).expect("space");
    live.append(Uuid::from_u128(10), &reply(5)).expect("written");
    assert!(orphans(folder.path(), NOW).expect("read").is_empty());
    drop(live);
    let mut found = orphans(folder.path(), NOW).expect("read");
    let orphan = found.pop().expect("one file");
    assert_eq!(orphan.replies, [(Uuid::from_u128(10), reply(5))]);
    assert_eq!((orphan.torn_bytes, orphan.too_old, found.len()), (0, 0, 0));
    orphan.remove().expect("removed");
    assert!(orphans(folder.path(), NOW).expect("read").is_empty());
}

#[test]
fn new_file_is_never_an_orphan() {
    let folder = folder();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut found = 0;
            while !done.load(Ordering::Relaxed) {
                found += orphans(folder.path(), NOW).expect("read").len();
            }
            found
        });
        let created = (0..1_000).try_for_each(|n| Spool::create(folder.path(), Uuid::from_u128(n))?.close());
        done.store(true, Ordering::Relaxed);
        created.expect("every process gets its file");
        assert_eq!(looking.join().expect("no panic"), 0, "orphans");
    });
}

#[test]
fn torn_record_at_end_is_dropped_and_reported() {
    let folder = folder();
    let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    for n in 0..3 {
        spool.append(Uuid::from_u128(n), &reply(5)).expect("written");
    }
    let whole = spool.len() / 3;
    spool.file.set_len(spool.len() - 1).expect("torn");
    drop(spool);
    let orphan = orphans(folder.path(), NOW).expect("read").pop().expect("one file");
    assert_eq!((orphan.replies.len(), orphan.torn_bytes as u64), (2, whole - 1));
}

#[test]
fn orphan_reports_announced_nodes_without_reply() {
    let folder = folder();
    let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    let asked = |n: u128, node| (Uuid::from_u128(n), UsageReply::new(NodeId(node), NOW, 1.5, []));
    spool.announce(&[asked(1, 11), asked(2, 12), asked(3, 13)]).expect("written");
    spool.append(Uuid::from_u128(2), &reply(5)).expect("written");
    spool.remove(Uuid::from_u128(3)).expect("removed");
    spool.remove(Uuid::from_u128(2)).expect("removed");
    drop(spool);
    let orphan = orphans(folder.path(), NOW).expect("read").pop().expect("one file");
    assert_eq!((orphan.replies.len(), orphan.torn_bytes), (1, 0));
    assert_eq!(orphan.unanswered, [NodeId(11), NodeId(13)], "a removed batch stays in the file until it is truncated");
}

#[test]
fn file_does_not_grow_while_a_node_never_answers() {
    let folder = folder();
    let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    spool.announce(&[(Uuid::from_u128(1), UsageReply::new(NodeId(11), NOW, 1.0, []))]).expect("written");
    let many = UsageReply::new(NodeId(12), NOW, 1.0, (0..100_000).map(|user| (UserId(user), 1)));
    for n in 2..5 {
        spool.append(Uuid::from_u128(n), &many).expect("written");
        spool.remove(Uuid::from_u128(n)).expect("removed");
        assert!(spool.len() < 100, "{}", spool.len());
    }
    drop(spool);
    let orphan = orphans(folder.path(), NOW).expect("read").pop().expect("one file");
    assert_eq!((orphan.unanswered, orphan.replies.len()), (vec![NodeId(11)], 0));
}

#[test]
fn records_older_than_30_days_are_set_aside() {
    let folder = folder();
    let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    spool.append(Uuid::from_u128(1), &reply(5)).expect("written");
    drop(spool);
    let orphan = orphans(folder.path(), NOW.plus(31 * DAY)).expect("read").pop().expect("one file");
    assert_eq!((orphan.replies.len(), orphan.too_old), (0, 1));
    orphan.remove().expect("set aside");
    assert!(orphans(folder.path(), NOW).expect("read").is_empty());
    assert!(folder.path().join(format!("{}.old", Uuid::from_u128(1))).exists());
}

#[test]
fn file_is_truncated_without_unstaged_replies_and_removed_on_close() {
    let folder = folder();
    let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    spool.append(Uuid::from_u128(1), &reply(5)).expect("written");
    spool.append(Uuid::from_u128(2), &reply(6)).expect("written");
    spool.remove(Uuid::from_u128(1)).expect("first");
    assert!(!spool.is_empty());
    spool.remove(Uuid::from_u128(2)).expect("second");
    assert!(spool.is_empty());
    spool.append(Uuid::from_u128(3), &reply(7)).expect("written from the start again");
    spool.remove(Uuid::from_u128(3)).expect("third");
    spool.close().expect("removed");
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 0);
}
