//! The format of spool records.
//!
//! A record is the length of its body (u32), the CRC-32 of its body (u32) and the body: batch id, node, time,
//! coefficient and the reply's payload. Numbers are little endian.

use std::io;

use uuid::Uuid;

use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::usage::UsageReply;

/// Bytes of the length and the CRC.
const HEADER: usize = 4 + 4;
/// Bytes of the batch id, node, time and coefficient.
const FIXED: usize = 16 + 8 + 8 + 8;

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

/// Decodes records up to the first damaged or incomplete one. Returns them and the number of bytes that follow.
pub(super) fn decode_all(mut content: &[u8]) -> (Vec<(Uuid, UsageReply)>, usize) {
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
    (crc32fast::hash(body) == u32::from_le_bytes(*crc)).then_some((decode_body(body)?, rest))
}

fn decode_body(body: &[u8]) -> Option<(Uuid, UsageReply)> {
    let (id, rest) = body.split_first_chunk::<16>()?;
    let (node, rest) = rest.split_first_chunk::<8>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (coefficient, payload) = rest.split_first_chunk::<8>()?;
    let node = NodeId(i64::from_le_bytes(*node));
    let fetched_at = Moment::from_micros(i64::from_le_bytes(*at));
    let reply = UsageReply::from_payload(node, fetched_at, f64::from_le_bytes(*coefficient), payload)?;
    Some((Uuid::from_bytes(*id), reply))
}
