//! The hash chain over the audit log: the digest of an entry, and of a seal over entries and the seal before.
//!
//! Every part of a digest is preceded by its length in eight bytes, so that no two lists of parts have the same bytes.

use aws_lc_rs::digest::{Context, SHA256};

/// The part of an entry that the digest of a seal covers besides the seal before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEntry {
    /// Id of the entry.
    pub id: i64,
    /// Its digest, from [`digest`].
    pub digest: String,
}

/// SHA-256 of the parts, in hex. A missing part differs from an empty one.
pub fn digest<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        let length = part.map_or(u64::MAX, |text| text.len() as u64);
        context.update(&length.to_be_bytes());
        context.update(part.unwrap_or_default().as_bytes());
    }
    hex::encode(context.finish())
}

/// The digest of a seal: over its number, the digest of the seal before (empty for the first), and its entries in the order of
/// their ids.
pub fn seal(sequence: i64, previous: &str, entries: &[SealedEntry]) -> String {
    let (number, count) = (sequence.to_string(), entries.len().to_string());
    let head = [Some("seal"), Some(number.as_str()), Some(previous), Some(count.as_str())];
    let ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
    let rest = ids.iter().zip(entries).flat_map(|(id, entry)| [Some(id.as_str()), Some(entry.digest.as_str())]);
    digest(head.into_iter().chain(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, text: &str) -> SealedEntry {
        SealedEntry { id, digest: digest([Some(text)]) }
    }

    #[test]
    fn digest_depends_on_every_part_and_its_borders() {
        let base = digest([Some("ab"), Some("c")]);
        assert_eq!(base.len(), 64);
        for other in
            [vec![Some("a"), Some("bc")], vec![Some("ab"), Some("c"), None], vec![Some("ab")], vec![None, Some("c")]]
        {
            assert_ne!(digest(other), base);
        }
        assert_ne!(digest([None]), digest([Some("")]));
    }

    #[test]
    fn seal_depends_on_number_predecessor_and_every_entry() {
        let entries = [entry(1, "a"), entry(2, "b")];
        let base = seal(1, "", &entries);
        let others = [
            seal(2, "", &entries),
            seal(1, &base, &entries),
            seal(1, "", &entries[..1]),
            seal(1, "", &[entry(1, "a"), entry(2, "c")]),
            seal(1, "", &[entry(1, "a"), entry(3, "b")]),
            seal(1, "", &[entry(2, "b"), entry(1, "a")]),
        ];
        assert!(others.iter().all(|other| *other != base));
    }
}
