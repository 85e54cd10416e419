//! Reads the records of a spool file one at a time, and finds the next whole record after damage.
//!
//! At most one record and a window of [`WINDOW`] bytes are in memory. The work is linear in the size of the file: bytes
//! that were read for the CRC of something that is no record have a budget.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use uuid::Uuid;

use super::record::{FIXED, HEADER, START, Start};
use crate::domain::usage::UsageReply;

/// Bytes that are searched or hashed at once.
const WINDOW: usize = 64 << 10;
/// Bytes of the first window of a search: the next record is mostly near.
const FIRST_WINDOW: usize = 1 << 10;
/// Bytes that may be hashed in vain, as a multiple of the size of the file.
const BUDGET: u64 = 8;

/// A part of a spool file, with its place in bytes.
#[derive(Debug)]
pub(super) enum Part {
    /// A whole record.
    Record(Uuid, UsageReply, Range<u64>),
    /// Bytes that are no record.
    Damaged(Range<u64>),
    /// The beginning of a record at the end of the file: the process died while writing it.
    Torn(Range<u64>),
}

/// Reads bytes at a place.
pub(super) trait ReadAt {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }
}

/// The parts of a file that nobody writes to.
#[derive(Debug)]
pub(super) struct Parts<S> {
    source: S,
    size: u64,
    position: u64,
    /// Bytes that may still be hashed in vain.
    budget: u64,
}

impl<S: ReadAt> Parts<S> {
    pub(super) const fn new(source: S, size: u64) -> Self {
        Self { source, size, position: 0, budget: size.saturating_mul(BUDGET).saturating_add(WINDOW as u64) }
    }

    /// Returns the next part, `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Part>> {
        let begin = self.position;
        if begin >= self.size {
            return Ok(None);
        }
        if let Some(bytes) = self.start_at(begin)?
            && let start = Start::read(&bytes)
            && let Some((reply, end)) = self.record_at(begin, start)?
        {
            self.position = end;
            return Ok(Some(Part::Record(start.id, reply, begin..end)));
        }
        let next = self.search(begin + 1)?;
        self.position = next.unwrap_or(self.size);
        let bytes = begin..self.position;
        let torn = next.is_none() && self.is_torn(begin)?;
        Ok(Some(if torn { Part::Torn(bytes) } else { Part::Damaged(bytes) }))
    }

    fn start_at(&self, offset: u64) -> io::Result<Option<[u8; START]>> {
        if self.size - offset < START as u64 {
            return Ok(None);
        }
        let mut bytes = [0; START];
        self.source.read_at(&mut bytes, offset)?;
        Ok(Some(bytes))
    }

    /// Returns the reply and the end of the record; `None` if the bytes are no record.
    fn record_at(&mut self, offset: u64, start: Start) -> io::Result<Option<(UsageReply, u64)>> {
        let body = offset + HEADER as u64;
        let length = u64::from(start.length);
        if length < FIXED as u64 || length > self.size - body {
            return Ok(None);
        }
        // A damaged length leads anywhere.
        if length > self.budget && !self.may_end_at(body + length)? {
            return Ok(None);
        }
        if self.crc(body, length)? != start.crc {
            self.budget = self.budget.saturating_sub(length);
            return Ok(None);
        }
        let mut payload = vec![0; start.length as usize - FIXED];
        self.source.read_at(&mut payload, offset + START as u64)?;
        Ok(start.reply(&payload).map(|reply| (reply, body + length)))
    }

    /// True if another record, or nothing, follows here.
    fn may_end_at(&self, offset: u64) -> io::Result<bool> {
        Ok(offset == self.size || self.start_at(offset)?.is_some_and(|bytes| Start::plausible(&bytes).is_some()))
    }

    fn crc(&self, mut offset: u64, mut length: u64) -> io::Result<u32> {
        let mut hasher = crc32fast::Hasher::new();
        let mut window = vec![0; WINDOW.min(length as usize)];
        while length > 0 {
            let count = window.len().min(length as usize);
            self.source.read_at(&mut window[..count], offset)?;
            hasher.update(&window[..count]);
            offset += count as u64;
            length -= count as u64;
        }
        Ok(hasher.finalize())
    }

    /// Finds the first record from `offset` on whose fields are plausible and whose CRC holds.
    fn search(&mut self, mut offset: u64) -> io::Result<Option<u64>> {
        let mut window = vec![0; FIRST_WINDOW];
        while self.size - offset >= START as u64 {
            let count = window.len().min(usize::try_from(self.size - offset).unwrap_or(usize::MAX));
            self.source.read_at(&mut window[..count], offset)?;
            for (index, bytes) in window[..count].array_windows::<START>().enumerate() {
                let found = offset + index as u64;
                if let Some(start) = Start::plausible(bytes)
                    && self.record_at(found, start)?.is_some()
                {
                    return Ok(Some(found));
                }
            }
            offset += (count - START + 1) as u64;
            window.resize(WINDOW.min(window.len() * 2), 0);
        }
        Ok(None)
    }

    /// True if the end of the file is the beginning of a record.
    fn is_torn(&self, offset: u64) -> io::Result<bool> {
        let Some(bytes) = self.start_at(offset)? else { return Ok(true) };
        let rest = self.size - offset - HEADER as u64;
        Ok(Start::plausible(&bytes).is_some_and(|start| u64::from(start.length) > rest))
    }
}
