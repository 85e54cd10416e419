//! A set of user ids with one bit per user, small enough for the users of a thousand nodes.

use std::collections::HashMap;

use crate::domain::ids::UserId;

/// Ids per block; a block is 512 bytes.
const BLOCK: i64 = 4_096;

/// A set of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserSet(HashMap<i64, Box<[u64; 64]>>);

impl UserSet {
    /// Adds a user.
    pub fn insert(&mut self, user: UserId) {
        let (block, word, bit) = place(user);
        self.0.entry(block).or_insert_with(|| Box::new([0; 64]))[word] |= bit;
    }

    /// True when the set has the user.
    pub fn contains(&self, user: UserId) -> bool {
        let (block, word, bit) = place(user);
        self.0.get(&block).is_some_and(|block| block[word] & bit != 0)
    }

    /// Adds the users of another set.
    pub fn extend(&mut self, more: Self) {
        for (at, block) in more.0 {
            let own = self.0.entry(at).or_insert_with(|| Box::new([0; 64]));
            own.iter_mut().zip(block.iter()).for_each(|(own, more)| *own |= more);
        }
    }

    /// The users that this set has and another lacks, in no order.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = UserId> + 'a {
        self.0.iter().flat_map(move |(at, block)| {
            let others = other.0.get(at);
            (0..64).flat_map(move |word| {
                let bits = block[word] & !others.map_or(0, |block| block[word]);
                let first = at * BLOCK + word as i64 * 64;
                (0..64).filter(move |bit| bits & 1 << bit != 0).map(move |bit| UserId(first + bit))
            })
        })
    }

    /// The number of these users that the set has; `users` must not repeat an id.
    pub fn count(&self, users: impl IntoIterator<Item = UserId>) -> usize {
        users.into_iter().filter(|user| self.contains(*user)).count()
    }

    /// True when the set has no users.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of users.
    pub fn len(&self) -> usize {
        self.0.values().flat_map(|block| block.iter()).map(|word| word.count_ones() as usize).sum()
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
    fn set_has_exactly_the_added_users() {
        let ids = [0, 1, 63, 64, 4_095, 4_096, -1, i64::from(u32::MAX), i64::MAX, i64::MIN];
        let (mut set, mut more) = (UserSet::default(), UserSet::default());
        ids[..5].iter().for_each(|id| set.insert(UserId(*id)));
        ids[5..].iter().for_each(|id| more.insert(UserId(*id)));
        assert!(ids[..5].iter().all(|id| set.contains(UserId(*id)) && !more.contains(UserId(*id))));
        set.extend(more);
        assert!(ids.iter().all(|id| set.contains(UserId(*id))));
        assert_eq!((set.len(), set.count([2, 63, -1, 65].map(UserId))), (ids.len(), 2));
        for absent in [2, 65, 4_094, 4_097, -2, i64::MAX - 1] {
            assert!(!set.contains(UserId(absent)), "{absent}");
        }
    }

    #[test]
    fn difference_has_the_users_of_one_set_alone() {
        let (mut one, mut other) = (UserSet::default(), UserSet::default());
        for id in [0, 1, 63, 64, 4_096, -1, -4_097, i64::MAX, i64::MIN] {
            one.insert(UserId(id));
        }
        for id in [1, 2, 64, 9_000, i64::MAX] {
            other.insert(UserId(id));
        }
        let sorted = |users: Vec<UserId>| {
            let mut ids: Vec<i64> = users.into_iter().map(|user| user.0).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(sorted(one.without(&other).collect()), [i64::MIN, -4_097, -1, 0, 63, 4_096]);
        assert_eq!(sorted(other.without(&one).collect()), [2, 9_000]);
        assert_eq!(one.without(&one).count(), 0);
    }
}
