//! Records survive their process, and the file does not grow without need.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use uuid::Uuid;

use super::{Contents, Orphan, Spool, orphans};
use crate::domain::ids::{NodeId, UserId};
use crate::domain::moment::{DAY, Moment};
use crate::domain::spool_use::SpoolUse;
use crate::domain::usage::UsageReply;

const NOW: Moment = Moment::from_micros(1_700_000_000_000_000);

fn reply(bytes: u64) -> UsageReply {
    UsageReply::new(NodeId(3), NOW, 1.5, [(UserId(7), bytes)])
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A batch id as the collector makes them.
fn batch(n: u128) -> Uuid {
    Uuid::from_u128((0x0190_0000_0000_7000_8000 << 48) + n)
}

/// Reads the replies of the only orphan, at this time, and removes its file.
fn replay_at(folder: &Path, now: Moment) -> (Vec<(Uuid, UsageReply)>, Contents) {
    let mut orphan = orphans(folder).expect("read").pop().expect("one file");
    let replies = replies(&mut orphan, now);
    (replies, orphan.remove().expect("removed").expect("nobody holds removals off"))
}

fn replies(orphan: &mut Orphan, now: Moment) -> Vec<(Uuid, UsageReply)> {
    let mut found = Vec::new();
    while let Some(next) = orphan.next_reply(now).expect("read") {
        found.push((next.id, next.reply));
    }
    found
}

#[test]
fn orphans_are_files_of_dead_processes_only() {
    let folder = folder();
    let mut live = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    live.reserve(3).expect("space");
    live.append(Uuid::from_u128(10), &reply(5)).expect("written");
    assert!(orphans(folder.path()).expect("read").is_empty());
    drop(live);
    let (found, contents) = replay_at(folder.path(), NOW);
    assert_eq!(found, [(Uuid::from_u128(10), reply(5))]);
    assert_eq!(contents, Contents::default());
    assert!(orphans(folder.path()).expect("read").is_empty());
}

#[test]
fn new_file_is_never_an_orphan() {
    let folder = folder();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut found = 0;
            while !done.load(Ordering::Relaxed) {
                found += orphans(folder.path()).expect("read").len();
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
        spool.append(batch(n), &reply(5)).expect("written");
    }
    let whole = spool.len() / 3;
    spool.file.set_len(spool.len() - 1).expect("torn");
    drop(spool);
    let (found, contents) = replay_at(folder.path(), NOW);
    assert_eq!((found.len(), contents), (2, Contents { torn_bytes: whole - 1, ..Contents::default() }));
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
    let (found, contents) = replay_at(folder.path(), NOW);
    let unanswered = vec![NodeId(11), NodeId(13)];
    assert_eq!(found.len(), 1, "a removed batch stays in the file until it is truncated");
    assert_eq!(contents, Contents { unanswered, ..Contents::default() });
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
    let (found, contents) = replay_at(folder.path(), NOW);
    assert_eq!((contents.unanswered, found.len()), (vec![NodeId(11)], 0));
}

#[test]
fn replies_that_are_too_old_or_impossible_are_set_aside() {
    let folder = folder();
    let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    let broken = UsageReply::new(NodeId(3), NOW, f64::NAN, [(UserId(7), 9)]);
    spool.append(batch(1), &broken).expect("written");
    spool.append(batch(2), &reply(5)).expect("written");
    spool.append(batch(3), &UsageReply::new(NodeId(3), NOW.plus(-31 * DAY), 1.0, [(UserId(7), 4)])).expect("written");
    drop(spool);
    let (found, contents) = replay_at(folder.path(), NOW);
    assert_eq!(found, [(batch(2), reply(5))]);
    assert_eq!((contents.refused, contents.refused_traffic), (2, 13));
    let aside = contents.aside.expect("a file");
    assert_eq!(aside, folder.path().join(format!("{}.aside", Uuid::from_u128(1))));
    assert_eq!(fs::metadata(&aside).expect("it exists").permissions().mode() & 0o777, 0o600);
    let content = fs::read(&aside).expect("it reads");
    let record = super::record::encode(batch(1), &broken).expect("a record");
    assert!(content.windows(record.len()).any(|bytes| bytes == record), "the record is not in the file");
    assert!(orphans(folder.path()).expect("read").is_empty(), "what is set aside is never replayed");
}

#[test]
fn attempt_that_fails_leaves_nothing_aside() {
    let folder = folder();
    let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    spool.append(batch(1), &UsageReply::new(NodeId(-1), NOW, 1.0, [(UserId(7), 9)])).expect("written");
    spool.append(batch(2), &reply(5)).expect("written");
    drop(spool);
    let mut attempt = orphans(folder.path()).expect("read").pop().expect("one file");
    let next = attempt.next_reply(NOW).expect("read").expect("the second reply");
    attempt.set_aside(&next, "the database refuses it").expect("set aside");
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 2);
    drop(attempt);
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1, "the file of the attempt is left");
    let (found, contents) = replay_at(folder.path(), NOW);
    assert_eq!((found.len(), contents.refused), (1, 1));
}

#[test]
fn reply_of_a_live_process_is_set_aside_and_removed() {
    let folder = folder();
    let mut spool = Spool::create(folder.path(), Uuid::from_u128(1)).expect("a spool");
    for n in 1..=2 {
        spool.append(batch(n), &reply(5)).expect("written");
        let aside = spool.set_aside(batch(n), &reply(5), "the database refuses it").expect("set aside");
        assert!(aside.is_some_and(|path| path.exists()));
        spool.remove(batch(n)).expect("removed");
    }
    assert!(spool.is_empty());
    let aside = fs::read(folder.path().join(format!("{}.aside", Uuid::from_u128(1)))).expect("it reads");
    assert_eq!(String::from_utf8_lossy(&aside).matches("the database refuses it").count(), 2);
}

#[test]
fn empty_file_of_a_start_that_failed_is_removed_when_it_is_old() {
    let folder = folder();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        path
    };
    let old_file = |name: &str, content: &str| {
        let path = file(name, content);
        let old = fs::File::options().write(true).open(&path);
        old.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)).expect("its time is set");
        path
    };
    let (old, recent, full) = (old_file("a.new", ""), file("b.new", ""), old_file("c.new", "x"));
    let starting = old_file("d.new", "");
    let held = fs::File::open(&starting).expect("it opens");
    super::file_lock::lock(&held, &starting).expect("it is locked");
    assert!(orphans(folder.path()).expect("read").is_empty());
    assert!(!old.exists(), "the file of a process that is gone is left");
    assert!(recent.exists() && full.exists() && starting.exists());
}

#[test]
fn files_and_folder_are_private() {
    let folder = folder();
    let spools = folder.path().join("data/spool");
    let spool = Spool::create(&spools, Uuid::from_u128(1)).expect("a spool");
    for (path, mode) in [(&spool.path, 0o600), (&spools, 0o700)] {
        assert_eq!(fs::metadata(path).expect("it exists").permissions().mode() & 0o777, mode, "{}", path.display());
    }
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

#[test]
fn use_of_the_spool_counts_files_with_replies() {
    let data = folder();
    let folder = data.path().join(super::FOLDER);
    assert_eq!(super::in_use(data.path()).expect("read"), SpoolUse::default(), "no spool yet");
    let mut spools = [1, 2, 3].map(|id| Spool::create(&folder, Uuid::from_u128(id)).expect("a spool"));
    assert_eq!(super::in_use(data.path()).expect("read"), SpoolUse::default(), "empty files");
    let before = Moment::from_micros(1_600_000_000_000_000);
    for (spool, age) in spools.iter_mut().zip([0, DAY]) {
        spool.append(batch(1), &reply(5)).expect("written");
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(before.plus(-age).micros() as u64);
        spool.file.set_modified(at).expect("its time");
    }
    let used = super::in_use(data.path()).expect("read");
    let expected = SpoolUse { files: 2, bytes: 2 * spools[0].len(), since: Some(before.plus(-DAY).micros()) };
    assert_eq!(used, expected);
    spools[1].remove(batch(1)).expect("dropped");
    let used = super::in_use(data.path()).expect("read");
    assert_eq!((used.files, used.since), (1, Some(before.micros())));
}

#[test]
fn nothing_is_removed_while_a_back_up_reads_the_files() {
    let folder = folder();
    let mut spools = [1, 2, 3].map(|id| Spool::create(folder.path(), Uuid::from_u128(id)).expect("a spool"));
    for (spool, n) in spools.iter_mut().zip(1..) {
        spool.append(batch(n), &reply(5)).expect("written");
    }
    let [mut live, mut closing, dead] = spools;
    let size = live.len();
    drop(dead);
    let held = super::hold(folder.path()).expect("held");
    let second = super::hold(folder.path()).expect("two back-ups at once");
    let sizes = || {
        let entries = fs::read_dir(folder.path()).expect("read");
        let mut sizes: Vec<u64> = entries.map(|it| it.expect("a file").metadata().expect("its size").len()).collect();
        sizes.sort_unstable();
        sizes
    };
    live.remove(batch(1)).expect("put off");
    closing.remove(batch(2)).expect("put off");
    closing.close().expect("put off");
    let orphan = orphans(folder.path()).expect("read").pop().expect("the dead process's file");
    assert_eq!(orphan.remove().expect("put off"), None);
    assert_eq!(sizes(), [size, size, size]);
    drop(held);
    live.remove(batch(1)).expect("put off");
    assert_eq!(sizes(), [size, size, size], "the second back-up still reads");
    drop(second);
    live.remove(batch(1)).expect("made up for");
    closing.close().expect("removed");
    assert!(orphans(folder.path()).expect("read").pop().expect("again").remove().expect("removed").is_some());
    assert_eq!(sizes(), [0]);
}
