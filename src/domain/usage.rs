//! Traffic as nodes report it and as users are charged for it.

use super::ids::{NodeId, UserId};
use super::moment::{Moment, SECOND};

/// The most bytes of one user in one reply of a node, raw or charged: 1 PiB. A larger number comes from a faulty node
/// and is cut, so that it cannot spoil the totals.
pub const MOST_PER_READING: u64 = 1 << 50;

/// The highest id of a node: far beyond any real one.
const MAX_NODE_ID: i64 = 1 << 40;
/// 2000-01-01 and 2200-01-01: no reply is from another time, whatever a clock shows.
const EARLIEST: i64 = 946_684_800 * SECOND;
const LATEST: i64 = 7_258_118_400 * SECOND;

/// One reply of a node: the bytes of its users since the last reply. The node has reset its counters, so this is the
/// only copy.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageReply {
    /// The node that sent it.
    pub node: NodeId,
    /// When the node was asked.
    pub fetched_at: Moment,
    /// The node's coefficient at that moment.
    pub coefficient: f64,
    /// Raw bytes by user, ascending by user, none of them 0; encoded once for the spool and the database.
    payload: Vec<u8>,
}

/// A part of a reply, stored as one row of the database.
#[derive(Clone, Copy, Debug)]
pub struct UsagePart<'a> {
    /// The encoded entries.
    pub payload: &'a [u8],
    /// Number of entries.
    pub entries: i64,
    /// Raw bytes of all entries.
    pub bytes: i64,
}

/// Sorts entries by user and merges those of each user (at most [`MOST_PER_READING`]).
pub fn add_up(entries: &mut Vec<(UserId, u64)>) {
    entries.sort_unstable_by_key(|(user, _)| *user);
    entries.dedup_by(|next, sum| {
        let same = next.0 == sum.0;
        if same {
            sum.1 = sum.1.saturating_add(next.1).min(MOST_PER_READING);
        }
        same
    });
}

impl UsageReply {
    /// Sorts the entries, adds up the entries of each user (at most [`MOST_PER_READING`]), leaves out zeros, and encodes them.
    pub fn new(
        node: NodeId,
        fetched_at: Moment,
        coefficient: f64,
        entries: impl IntoIterator<Item = (UserId, u64)>,
    ) -> Self {
        // With 100,000 entries a map would block this thread for some milliseconds.
        let mut entries: Vec<_> =
            entries.into_iter().map(|(user, bytes)| (user, bytes.min(MOST_PER_READING))).collect();
        add_up(&mut entries);
        entries.retain(|(_, bytes)| *bytes > 0);
        Self { node, fetched_at, coefficient, payload: encode_entries(&entries) }
    }

    /// Restores a reply from its encoded entries. `None`: the payload is damaged.
    pub fn from_payload(node: NodeId, fetched_at: Moment, coefficient: f64, payload: &[u8]) -> Option<Self> {
        let is_whole = payload.len().is_multiple_of(ENTRY);
        is_whole.then(|| Self { node, fetched_at, coefficient, payload: payload.to_vec() })
    }

    /// The encoded entries; [`decode_entries`] reads them.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// True when the reply has no entries.
    pub const fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// Raw bytes of all entries.
    pub fn bytes(&self) -> i64 {
        raw_total(&self.payload)
    }

    /// Returns why the reply can't be recorded: a value that no node and no panel produces. `None`: it can.
    pub fn defect(&self) -> Option<&'static str> {
        if !(1..=MAX_NODE_ID).contains(&self.node.0) {
            return Some("the node's id is impossible");
        }
        if !(EARLIEST..=LATEST).contains(&self.fetched_at.micros()) {
            return Some("the time is impossible");
        }
        let possible = self.coefficient.is_finite() && self.coefficient >= 0.0;
        (!possible).then_some("the coefficient is not a number from 0 up")
    }

    /// Splits the reply into parts of at most `most` entries.
    pub fn parts(&self, most: usize) -> impl Iterator<Item = UsagePart<'_>> {
        self.payload.chunks(most.max(1).saturating_mul(ENTRY)).map(|payload| UsagePart {
            payload,
            entries: i64::try_from(payload.len() / ENTRY).unwrap_or(i64::MAX),
            bytes: raw_total(payload),
        })
    }
}

fn raw_total(payload: &[u8]) -> i64 {
    let entries = payload.as_chunks::<ENTRY>().0.iter();
    let total = entries.fold(0u64, |sum, &[_, _, _, _, bytes @ ..]| sum.saturating_add(u64::from_le_bytes(bytes)));
    i64::try_from(total).unwrap_or(i64::MAX)
}

/// The bytes that a user is charged for `bytes` on a node: the product rounded down, from 0 to [`MOST_PER_READING`].
pub fn counted(bytes: u64, coefficient: f64) -> i64 {
    const MOST: i64 = MOST_PER_READING as i64;
    if coefficient == 1.0 {
        return i64::try_from(bytes).unwrap_or(MOST).min(MOST);
    }
    // A cast from a float saturates and turns NaN into 0.
    ((bytes as f64 * coefficient).floor().max(0.0) as i64).min(MOST)
}

/// Adds up the charges of several replies by user. Ascending by user.
pub fn sum_charges<'a>(replies: impl IntoIterator<Item = &'a [(UserId, i64)]>) -> Vec<(UserId, i64)> {
    let mut all: Vec<(UserId, i64)> = replies.into_iter().flatten().copied().collect();
    all.sort_unstable_by_key(|(user, _)| *user);
    all.dedup_by(|next, sum| {
        let same = next.0 == sum.0;
        if same {
            sum.1 = sum.1.saturating_add(next.1);
        }
        same
    });
    all
}

/// Bytes of an encoded entry.
const ENTRY: usize = 12;

/// Encodes each entry as user id (u32) and raw bytes (u64), little endian. Nodes have no ids beyond 32 bits.
fn encode_entries(entries: &[(UserId, u64)]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(entries.len() * ENTRY);
    for (user, bytes) in entries {
        let id = u32::try_from(user.0).unwrap_or(0);
        payload.extend_from_slice(&id.to_le_bytes());
        payload.extend_from_slice(&bytes.to_le_bytes());
    }
    payload
}

/// Decodes a reply's payload: user ids and raw bytes. `None`: the payload is damaged.
pub fn decode_entries(payload: &[u8]) -> Option<Vec<(UserId, u64)>> {
    let (entries, []) = payload.as_chunks::<ENTRY>() else { return None };
    Some(
        entries
            .iter()
            .map(|&[a, b, c, d, bytes @ ..]| {
                (UserId(i64::from(u32::from_le_bytes([a, b, c, d]))), u64::from_le_bytes(bytes))
            })
            .collect(),
    )
}

/// Raw bytes of a user in a reply's payload, whose entries ascend by user. `None`: it has no entry of the user.
pub fn bytes_of(payload: &[u8], user: UserId) -> Option<u64> {
    let (entries, _) = payload.as_chunks::<ENTRY>();
    let id = |entry: &[u8; ENTRY]| i64::from(u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]));
    let at = entries.binary_search_by_key(&user.0, id).ok()?;
    let [_, _, _, _, bytes @ ..] = entries[at];
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_is_sorted_and_added_up_by_user() {
        let reply = UsageReply::new(
            NodeId(1),
            Moment::from_micros(0),
            1.0,
            [(UserId(2), 5), (UserId(1), 0), (UserId(2), 7), (UserId(1), 1)],
        );
        assert_eq!(decode_entries(reply.payload()).as_deref(), Some(&[(UserId(1), 1), (UserId(2), 12)][..]));
        assert_eq!([0, 1, 2, 3].map(|id| bytes_of(reply.payload(), UserId(id))), [None, Some(1), Some(12), None]);
        assert_eq!(bytes_of(&[1, 2, 3], UserId(1)), None);
        assert_eq!(reply.bytes(), 13);
        let parts: Vec<_> = reply.parts(1).map(|part| (part.payload.len(), part.entries, part.bytes)).collect();
        assert_eq!(parts, [(12, 1, 1), (12, 1, 12)]);
        let absurd = UsageReply::new(NodeId(1), Moment::from_micros(0), 1.0, [(UserId(1), u64::MAX), (UserId(1), 7)]);
        assert_eq!(decode_entries(absurd.payload()).as_deref(), Some(&[(UserId(1), MOST_PER_READING)][..]));
    }

    #[test]
    fn reply_with_an_impossible_value_has_a_defect() {
        const NOW: i64 = 1_700_000_000 * SECOND;
        let defect = |node, at, coefficient| {
            UsageReply::new(NodeId(node), Moment::from_micros(at), coefficient, [(UserId(1), 1)]).defect()
        };
        for coefficient in [0.0, 1.0, 2.5, 1e6] {
            assert_eq!(defect(1, NOW, coefficient), None);
        }
        for coefficient in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(defect(1, NOW, coefficient).is_some(), "{coefficient}");
        }
        for (node, at) in [(0, NOW), (-7, NOW), (i64::MAX, NOW), (1, 0), (1, -NOW), (1, i64::MAX)] {
            assert!(defect(node, at, 1.0).is_some(), "node {node} at {at}");
        }
    }

    #[test]
    fn charged_bytes_are_rounded_down() {
        assert_eq!(counted(10, 2.5), 25);
        assert_eq!(counted(3, 0.5), 1);
        assert_eq!(counted(3, 0.0), 0);
        assert_eq!(counted((1 << 50) - 1, 1.0), (1 << 50) - 1);
        assert_eq!(counted(3, f64::NAN), 0);
        for absurd in [counted(u64::MAX, 1.0), counted(u64::MAX, 9.0), counted(1 << 20, 1e18)] {
            assert_eq!(absurd, 1 << 50);
        }
    }

    #[test]
    fn charges_of_several_replies_add_up_by_user() {
        let (one, two) = ([(UserId(1), 5), (UserId(3), 7)], [(UserId(2), 1), (UserId(3), 2)]);
        assert_eq!(sum_charges([&one[..], &two[..]]), [(UserId(1), 5), (UserId(2), 1), (UserId(3), 9)]);
        assert_eq!(sum_charges([&[(UserId(1), i64::MAX)][..], &one[..1]]), [(UserId(1), i64::MAX)]);
    }

    #[test]
    fn payload_reads_back_unless_damaged() {
        let entries = [(UserId(1), 5), (UserId(i64::from(u32::MAX)), u64::MAX)];
        let payload = encode_entries(&entries);
        assert_eq!(decode_entries(&payload).as_deref(), Some(&entries[..]));
        assert_eq!(decode_entries(&payload[1..]), None);
        assert_eq!(raw_total(&payload), i64::MAX);
    }
}
