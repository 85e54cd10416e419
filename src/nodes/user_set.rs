//! Which users a node may have: a bit each, so that a thousand nodes can be remembered.

use std::collections::HashMap;

use crate::domain::ids::UserId;

/// Ids per block; a block is 512 bytes.
const BLOCK: i64 = 4_096;

/// A set of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UserSet(HashMap<i64, Box<[u64; 64]>>);

impl UserSet {
    pub(super) fn insert(&mut self, user: UserId) {
        let (block, word, bit) = place(user);
        self.0.entry(block).or_insert_with(|| Box::new([0; 64]))[word] |= bit;
    }

    pub(super) fn contains(&self, user: UserId) -> bool {
        let (block, word, bit) = place(user);
        self.0.get(&block).is_some_and(|block| block[word] & bit != 0)
    }

    /// And all of these.
    pub(super) fn extend(&mut self, more: Self) {
        for (at, block) in more.0 {
            let own = self.0.entry(at).or_insert_with(|| Box::new([0; 64]));
            own.iter_mut().zip(block.iter()).for_each(|(own, more)| *own |= more);
        }
    }
}

fn place(UserId(id): UserId) -> (i64, usize, u64) {
    let within = id.rem_euclid(BLOCK).unsigned_abs();
    (id.div_euclid(BLOCK), (within / 64) as usize, 1 << (within % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_in_and_nothing_else() {
        let ids = [0, 1, 63, 64, 4_095, 4_096, -1, i64::from(u32::MAX), i64::MAX, i64::MIN];
        let (mut set, mut more) = (UserSet::default(), UserSet::default());
        ids[..5].iter().for_each(|id| set.insert(UserId(*id)));
        ids[5..].iter().for_each(|id| more.insert(UserId(*id)));
        assert!(ids[..5].iter().all(|id| set.contains(UserId(*id)) && !more.contains(UserId(*id))));
        set.extend(more);
        assert!(ids.iter().all(|id| set.contains(UserId(*id))));
        for absent in [2, 65, 4_094, 4_097, -2, i64::MAX - 1] {
            assert!(!set.contains(UserId(absent)), "{absent}");
        }
    }
}
