//! The format of spool records.
//!
//! A record is the length of its body (u32), the CRC-32 of its body (u32) and the body: batch id, node, time,
//! coefficient and the reply's payload. Numbers are little endian.
//!
//! Records have no marker, so that programs of any version read each other's files. After damage the next record is
//! recognised by its first fields: a batch id is a UUID of version 7, and node, time, coefficient and length have narrow
//! ranges. Together they have more than 50 bits that other bytes would have to hit, and then the CRC must hold.

use std::io;

use uuid::Uuid;

use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::usage::UsageReply;

/// Bytes of the length and the CRC.
pub(super) const HEADER: usize = 4 + 4;
/// Bytes of the batch id, node, time and coefficient.
pub(super) const FIXED: usize = 16 + 8 + 8 + 8;
/// Bytes before the payload.
pub(super) const START: usize = HEADER + FIXED;

/// Encodes a record. Fails for a reply of 4 GiB or more.
pub(super) fn encode(id: Uuid, reply: &UsageReply) -> io::Result<Vec<u8>> {
    let length = FIXED + reply.payload().len();
    let too_large = |_| io::Error::other("a usage reply of 4 GiB or more can't be spooled");
    let length_field = u32::try_from(length).map_err(too_large)?;
    let mut record = Vec::with_capacity(HEADER + length);
    record.extend_from_slice(&length_field.to_le_bytes());
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(id.as_bytes());
    record.extend_from_slice(&reply.node.0.to_le_bytes());
    record.extend_from_slice(&reply.fetched_at.micros().to_le_bytes());
    record.extend_from_slice(&reply.coefficient.to_le_bytes());
    record.extend_from_slice(reply.payload());
    let crc = crc32fast::hash(&record[HEADER..]);
    record[4..HEADER].copy_from_slice(&crc.to_le_bytes());
    Ok(record)
}

/// The fields before the payload, which may be arbitrary bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Bytes of the body.
    pub(super) length: u32,
    pub(super) crc: u32,
    pub(super) id: Uuid,
    node: NodeId,
    fetched_at: Moment,
    coefficient: f64,
}

impl Start {
    pub(super) fn read(bytes: &[u8; START]) -> Self {
        Self {
            length: u32::from_le_bytes(first(bytes, 0)),
            crc: u32::from_le_bytes(first(bytes, 4)),
            id: Uuid::from_bytes(first(bytes, HEADER)),
            node: NodeId(i64::from_le_bytes(first(bytes, HEADER + 16))),
            fetched_at: Moment::from_micros(i64::from_le_bytes(first(bytes, HEADER + 24))),
            coefficient: f64::from_le_bytes(first(bytes, HEADER + 32)),
        }
    }

    /// The fields, if they are those of a reply that a panel wrote, as opposed to any other bytes.
    pub(super) fn plausible(bytes: &[u8; START]) -> Option<Self> {
        // Refuses most bytes at once: the version and the variant of the batch id.
        if bytes[HEADER + 6] >> 4 != 7 || bytes[HEADER + 8] >> 6 != 2 {
            return None;
        }
        let start = Self::read(bytes);
        start.reply(&[]).is_some_and(|reply| reply.defect().is_none()).then_some(start)
    }

    /// The reply with this payload; `None` if the payload is not whole.
    pub(super) fn reply(&self, payload: &[u8]) -> Option<UsageReply> {
        UsageReply::from_payload(self.node, self.fetched_at, self.coefficient, payload)
    }
}

/// The `N` bytes from `offset` on, zeros beyond the end.
fn first<const N: usize>(bytes: &[u8; START], offset: usize) -> [u8; N] {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}
