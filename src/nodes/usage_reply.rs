//! Reads a reply with the usage of a node's users while it arrives, and adds up the bytes of each user. Its memory depends
//! on the number of users, not on the size of the reply: entries may repeat, be empty or have unknown fields.

use prost::Message;

use super::proto::users_stats::UserStats;
use super::wire::{self, Field, Malformed};
use crate::domain::ids::UserId;
use crate::domain::usage::{self, MOST_PER_READING};

/// Number of the field `users_stats` in `UsersStats`.
const USERS_STATS: u32 = 1;
/// Bytes of an entry. Today's nodes send 17 at most; a node that sends more fields stays far below.
const MOST_ENTRY: usize = 4_096;
/// Users that may be created while a reply is on its way, and more.
const NEW_USERS: i64 = 100_000;
/// Entries that are collected before they are added up, at least.
const FIRST_SUM: usize = 65_536;
/// Bytes of the shortest entry that counts.
const SHORTEST_ENTRY: usize = 4;

/// The sum of a reply for users that this panel never had. No user has this id: it is the last one of the protocol.
pub(super) const UNKNOWN_USERS: UserId = UserId(u32::MAX as i64);

/// The bytes of each user in a reply.
#[derive(Debug)]
pub(super) struct UsageSums {
    /// The largest id that a user can have.
    largest: i64,
    entries: Vec<(UserId, u64)>,
    /// Entries at which they are added up.
    most: usize,
    /// The bytes of users with other ids.
    unknown: u64,
}

/// Reads a message that arrives in pieces.
#[derive(Debug)]
pub(super) struct UsageReader {
    sums: UsageSums,
    /// The beginning of a field whose end has not arrived.
    begun: Vec<u8>,
    /// Bytes of an unknown field that have not arrived.
    skip: usize,
}

impl UsageReader {
    /// `newest`: the largest id of a user when the node was asked.
    pub(super) const fn new(newest: UserId) -> Self {
        let largest = newest.0.saturating_add(NEW_USERS);
        let sums = UsageSums { largest, entries: Vec::new(), most: FIRST_SUM, unknown: 0 };
        Self { sums, begun: Vec::new(), skip: 0 }
    }

    /// Bytes of memory that a reply of this length needs at most.
    pub(super) fn memory(newest: UserId, length: usize) -> usize {
        let users = usize::try_from(newest.0.saturating_add(NEW_USERS)).unwrap_or(usize::MAX);
        let entries = (length / SHORTEST_ENTRY).min(users.saturating_mul(2).max(FIRST_SUM));
        entries.saturating_mul(size_of::<(UserId, u64)>())
    }

    /// Reads the next piece.
    pub(super) fn read(&mut self, mut piece: &[u8]) -> Result<(), Malformed> {
        while !piece.is_empty() {
            let skipped = self.skip.min(piece.len());
            if skipped > 0 {
                self.skip -= skipped;
                piece = &piece[skipped..];
                continue;
            }
            // A field that began in an earlier piece grows by one byte at a time: it is short.
            let in_begun = !self.begun.is_empty();
            if in_begun {
                self.begun.push(piece[0]);
                piece = &piece[1..];
            }
            let bytes = if in_begun { self.begun.as_slice() } else { piece };
            let taken = match field(bytes)? {
                Part::Entry(entry, taken) => {
                    self.sums.add(entry);
                    taken
                }
                Part::Unknown(length) => {
                    let taken = length.min(bytes.len());
                    self.skip = length - taken;
                    taken
                }
                Part::Incomplete if in_begun => continue,
                Part::Incomplete => {
                    self.begun.extend_from_slice(piece);
                    return Ok(());
                }
            };
            if in_begun {
                self.begun.clear();
            } else {
                piece = &piece[taken..];
            }
        }
        Ok(())
    }

    /// Ends the message, and returns the bytes of each user. Users may repeat.
    pub(super) fn end(self) -> Result<Vec<(UserId, u64)>, Malformed> {
        if !self.begun.is_empty() || self.skip > 0 {
            return Err(Malformed);
        }
        let UsageSums { mut entries, unknown, .. } = self.sums;
        if unknown > 0 {
            entries.push((UNKNOWN_USERS, unknown));
        }
        Ok(entries)
    }
}

/// The field at the beginning of some bytes.
enum Part {
    /// An entry, and its bytes.
    Entry(UserStats, usize),
    /// A field to skip, with this many bytes.
    Unknown(usize),
    Incomplete,
}

fn field(bytes: &[u8]) -> Result<Part, Malformed> {
    let Some(Field { number, is_bytes, start, length }) = wire::field(bytes)? else { return Ok(Part::Incomplete) };
    let end = start.checked_add(length).ok_or(Malformed)?;
    if number != USERS_STATS || !is_bytes {
        return Ok(Part::Unknown(end));
    }
    if length > MOST_ENTRY {
        return Err(Malformed);
    }
    match bytes.get(start..end) {
        Some(entry) => UserStats::decode(entry).map(|entry| Part::Entry(entry, end)).map_err(|_| Malformed),
        None => Ok(Part::Incomplete),
    }
}

impl UsageSums {
    fn add(&mut self, UserStats { uid, usage }: UserStats) {
        let (user, bytes) = (UserId(uid.into()), usage.min(MOST_PER_READING));
        if bytes == 0 {
            return;
        }
        if user.0 > self.largest {
            self.unknown = self.unknown.saturating_add(bytes).min(MOST_PER_READING);
            return;
        }
        if self.entries.len() >= self.most {
            self.add_up();
        }
        self.entries.push((user, bytes));
    }

    /// Merges the entries of each user. They may double until the next time, so that all of it takes linear time.
    fn add_up(&mut self) {
        usage::add_up(&mut self.entries);
        self.most = self.entries.len().saturating_mul(2).max(FIRST_SUM);
        self.entries.reserve_exact(self.most - self.entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::proto::UsersStats;

    /// Reads a message in pieces of this size.
    fn read(message: &[u8], newest: i64, piece: usize) -> Result<Vec<(i64, u64)>, Malformed> {
        let mut reader = UsageReader::new(UserId(newest));
        for piece in message.chunks(piece) {
            reader.read(piece)?;
        }
        Ok(reader.end()?.into_iter().map(|(user, bytes)| (user.0, bytes)).collect())
    }

    fn stats(entries: &[(u32, u64)]) -> Vec<u8> {
        let users_stats = entries.iter().map(|(uid, usage)| UserStats { uid: *uid, usage: *usage }).collect();
        UsersStats { users_stats }.encode_to_vec()
    }

    #[test]
    fn message_is_read_in_pieces_of_any_size() {
        let mut message = stats(&[(1, 5), (2, u64::MAX), (300, 1 << 40), (4, 0)]);
        // Unknown fields: a long text, a number and eight bytes.
        message.extend([7 << 3 | 2, 0xac, 2]);
        message.extend([9; 300]);
        message.extend([8 << 3, 0x80, 1, 9 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        // An entry with an unknown field.
        message.extend([10, 6, 8, 7, 16, 9, 24, 1]);
        let expected = vec![(1, 5), (2, MOST_PER_READING), (300, 1 << 40), (7, 9)];
        for piece in [1, 2, 3, 7, 16, 100, message.len()] {
            assert_eq!(read(&message, 1_000, piece), Ok(expected.clone()), "pieces of {piece}");
        }
        for cut in 1..message.len() {
            // An end between two fields can't be told from the end of a message.
            assert!(read(&message[..cut], 1_000, 5).map_or(true, |read| read.len() <= expected.len()), "{cut}");
        }
        for malformed in [&[10, 200, 200, 1][..], &[10], &[11, 0], &[10, 2, 8]] {
            assert_eq!(read(malformed, 1, 1), Err(Malformed), "{malformed:?}");
        }
    }

    #[test]
    fn users_that_never_were_are_one_entry() {
        let far = u32::try_from(NEW_USERS).unwrap() + 11;
        let message = stats(&[(far - 1, 1), (far, 2), (u32::MAX, 3)]);
        assert_eq!(read(&message, 10, 9), Ok(vec![(i64::from(far) - 1, 1), (UNKNOWN_USERS.0, 5)]));
    }

    #[test]
    fn memory_is_bounded_by_users_and_not_by_entries() {
        let mut reader = UsageReader::new(UserId(1_000));
        let empty = [10, 0].repeat(4_096);
        let repeated = stats(&(0..1_000).map(|user| (user, 1)).collect::<Vec<_>>());
        for _ in 0..1_000 {
            reader.read(&empty).unwrap();
            reader.read(&repeated).unwrap();
        }
        assert_eq!(reader.sums.entries.capacity(), FIRST_SUM);
        let length = 1_000 * (empty.len() + repeated.len());
        assert!(UsageReader::memory(UserId(1_000), length) <= (1_000 + NEW_USERS as usize) * 2 * 16);
        let mut entries = reader.end().unwrap();
        entries.sort_unstable();
        let sum: u64 = entries.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(sum, 1_000 * 1_000, "no byte is lost");
    }
}
