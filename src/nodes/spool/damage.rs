//! Tests: all whole records of a damaged file are read exactly once, in linear time and little memory.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use uuid::Uuid;

use super::record::encode;
use super::scan::{Part, Parts, ReadAt};
use crate::domain::ids::{NodeId, UserId};
use crate::domain::moment::Moment;
use crate::domain::usage::UsageReply;

/// A source that counts.
struct Counted<S> {
    source: S,
    read: Cell<u64>,
    largest: Cell<usize>,
}

impl<S: ReadAt> ReadAt for &Counted<S> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.set(self.read.get() + bytes.len() as u64);
        self.largest.set(self.largest.get().max(bytes.len()));
        self.source.read_at(bytes, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let begin = usize::try_from(offset).expect("small");
        bytes.copy_from_slice(&self[begin..begin + bytes.len()]);
        Ok(())
    }
}

/// A record as the collector and the spool make it.
fn record(n: u64, entries: u64) -> (Uuid, Vec<u8>) {
    let id = Uuid::from_u128((0x0190_0000_0000_7000_8000 << 48) + u128::from(n));
    let now = Moment::from_micros(1_700_000_000_000_000 + i64::try_from(n).expect("small"));
    let entries = (1..=entries).map(|user| (UserId(i64::try_from(user).expect("small")), n + user));
    let reply = UsageReply::new(NodeId(3), now, 1.5, entries);
    (id, encode(id, &reply).expect("a record"))
}

/// The records that are read, and the bytes that are not.
type Found = (Vec<(Uuid, Range<u64>)>, Vec<Range<u64>>);

fn read<S: ReadAt>(source: S, size: u64) -> Found {
    let mut parts = Parts::new(source, size);
    let (mut records, mut rest) = (Vec::new(), Vec::new());
    while let Some(part) = parts.next().expect("it reads") {
        match part {
            Part::Record(id, _, bytes) => records.push((id, bytes)),
            Part::Damaged(bytes) | Part::Torn(bytes) => rest.push(bytes),
        }
    }
    (records, rest)
}

/// One fault of a file. A place is a number from 0 to 1 of its size.
#[derive(Clone, Debug)]
enum Fault {
    Flip { place: f64, mask: u8 },
    Insert { place: f64, junk: Vec<u8> },
    Remove { place: f64, bytes: usize },
    Cut { place: f64 },
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0.0..1.0, 1..=u8::MAX).prop_map(|(place, mask)| Fault::Flip { place, mask }),
        (0.0..1.0, proptest::collection::vec(any::<u8>(), 1..300))
            .prop_map(|(place, junk)| Fault::Insert { place, junk }),
        (0.0..1.0, 1_usize..300).prop_map(|(place, bytes)| Fault::Remove { place, bytes }),
        (0.0..1.0).prop_map(|place| Fault::Cut { place }),
    ]
}

proptest! {
    #[test]
    fn every_record_that_is_whole_is_read_once_and_all_other_bytes_are_reported(
        sizes in proptest::collection::vec(0_u64..40, 1..12),
        faults in proptest::collection::vec(fault(), 1..4),
    ) {
        let records: Vec<_> = (0..).zip(&sizes).map(|(n, entries)| record(n, *entries)).collect();
        let mut file: Vec<u8> = records.iter().flat_map(|(_, record)| record).copied().collect();
        for fault in faults {
            let at = |place: f64| (place * file.len() as f64) as usize;
            match fault {
                Fault::Flip { place, mask } => {
                    let at = at(place);
                    if let Some(byte) = file.get_mut(at) {
                        *byte ^= mask;
                    }
                }
                Fault::Insert { place, junk } => {
                    let at = at(place);
                    file.splice(at..at, junk);
                }
                Fault::Remove { place, bytes: count } => {
                    let at = at(place);
                    file.drain(at..(at + count).min(file.len()));
                }
                Fault::Cut { place } => file.truncate(at(place)),
            }
        }
        let is_whole = |record: &Vec<u8>| file.windows(record.len()).any(|bytes| bytes == record);
        let whole: Vec<Uuid> = records.iter().filter(|(_, record)| is_whole(record)).map(|(id, _)| *id).collect();
        let size = file.len() as u64;
        let (found, rest) = read(&Counted { source: file, read: Cell::default(), largest: Cell::default() }, size);
        prop_assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), whole);
        // Every byte is in exactly one part.
        let mut parts: Vec<Range<u64>> = found.into_iter().map(|(_, bytes)| bytes).chain(rest).collect();
        parts.sort_by_key(|part| part.start);
        let mut end = 0;
        for part in parts {
            prop_assert_eq!(part.start, end);
            end = part.end;
        }
        prop_assert_eq!(end, size);
    }
}

/// A hole takes no space on the disk.
#[test]
fn large_damage_is_skipped_in_linear_time_and_little_memory() {
    const HOLE: u64 = 16 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spool");
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    let ((first, before), (second, after)) = (record(1, 10), record(2, 10));
    // A length that covers the hole and more, so that its CRC has to be computed.
    let mut broken = record(3, 10).1;
    broken[..4].copy_from_slice(&u32::try_from(HOLE).expect("small").to_le_bytes());
    let begin = before.len() as u64;
    file.write_all_at(&before, 0).and_then(|()| file.write_all_at(&broken, begin)).expect("written");
    file.write_all_at(&after, begin + HOLE).expect("written");
    let size = fs::metadata(&path).expect("its size").len();
    let source = Counted { source: file, read: Cell::default(), largest: Cell::default() };
    let (found, rest) = read(&source, size);
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first, second]);
    assert_eq!((rest.len(), &rest[0]), (1, &(begin..begin + HOLE)));
    assert!(source.read.get() < 3 * size, "{} bytes were read of {size}", source.read.get());
    assert!(source.largest.get() <= 64 << 10, "{} bytes in memory", source.largest.get());
}

#[test]
fn hundreds_of_damaged_lengths_cost_linear_time() {
    let mut file = Vec::new();
    let mut ids = Vec::new();
    for n in 0..1_000 {
        let (id, mut record) = record(n, 100);
        if n.is_multiple_of(2) {
            ids.push(id);
        } else {
            // Plausible, and as long as possible.
            let rest = 1_000_000 - u32::try_from(n).expect("small") * 1_000;
            record[..4].copy_from_slice(&rest.to_le_bytes());
        }
        file.extend_from_slice(&record);
    }
    let size = file.len() as u64;
    let source = Counted { source: file, read: Cell::default(), largest: Cell::default() };
    let (found, _) = read(&source, size);
    assert!(source.read.get() < 20 * size, "{} bytes were read of {size}", source.read.get());
    assert!(found.into_iter().map(|(id, _)| id).eq(ids), "not all whole records were read");
}
