//! What was read a moment ago, kept for a moment: a thousand requests for the same read the database once.
//!
//! What is kept is good until it is too old or the wakeup has rung: after a change in this process it is read anew at
//! once, after one elsewhere as soon as the wakeup carries it, and at the latest when its time is over. So whatever was
//! revoked stops working everywhere within [`MAX_AGE`], also when the wakeup is lost.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Panel;
use crate::domain::moment::{BootTime, SECOND};
use crate::foundation::lock;

/// How long admins and users are kept, in microseconds.
pub const MAX_AGE: i64 = SECOND;

/// So many are kept; when there are more, all are forgotten. Names come from whoever asks, so that without a bound a
/// stranger could fill the memory.
pub(super) const CAPACITY: usize = 4_096;

/// Whose changes end what is kept before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rings {
    /// Those of all hosts.
    All,
    /// Those of this process: for what takes long to read and may be a little old.
    Own,
}

/// Values by key, as they were read at most `max_age` ago.
#[derive(Debug)]
pub struct Recent<K, V> {
    max_age: i64,
    rings: Rings,
    slots: Mutex<HashMap<K, Arc<Slot<V>>>>,
}

#[derive(Debug)]
struct Slot<V> {
    kept: Mutex<Option<Kept<V>>>,
    /// Held by whoever reads.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    /// Before it was read.
    age: Age,
}

/// When something was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Age {
    pub(super) at: BootTime,
    pub(super) rings: u64,
}

impl Age {
    /// What is read from now on is of this age, for whoever minds these rings.
    pub(super) fn now(panel: &Panel, rings: Rings) -> Self {
        let rings = match rings {
            Rings::All => panel.wakeup.count(),
            Rings::Own => panel.wakeup.local_count(),
        };
        Self { at: panel.clock.boot(), rings }
    }

    /// Whether this is of a later reading than the other.
    pub(super) fn is_after(self, other: Self) -> bool {
        (self.rings, self.at) > (other.rings, other.at)
    }

    /// Whether what is of this age is still good, where `max_age` is in microseconds.
    pub(super) fn is_fresh(self, now: Self, max_age: i64) -> bool {
        self.rings == now.rings && now.at.micros() - self.at.micros() < max_age
    }
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { kept: Mutex::new(None), reading: tokio::sync::Mutex::new(()) }
    }
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    /// `max_age` in microseconds.
    pub fn new(max_age: i64, rings: Rings) -> Self {
        Self { max_age, rings, slots: Mutex::default() }
    }

    /// The value of a key: the one that is kept, or what `read` brings.
    pub async fn get<Q, E>(&self, panel: &Panel, key: &Q, read: impl AsyncFnOnce() -> Result<V, E>) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let slot = self.slot(key);
        if let Some(value) = slot.fresh(Age::now(panel, self.rings), self.max_age) {
            return Ok(value);
        }
        let _turn = slot.reading.lock().await;
        let age = Age::now(panel, self.rings);
        if let Some(value) = slot.fresh(age, self.max_age) {
            return Ok(value);
        }
        let value = read().await?;
        *slot.kept() = Some(Kept { value: value.clone(), age });
        Ok(value)
    }

    /// The key's slot, a new one if it has none. Whoever reads for a slot that is forgotten meanwhile still gets the
    /// value; the next one to ask reads again.
    fn slot<Q>(&self, key: &Q) -> Arc<Slot<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        // Before the lock, so that it goes after it: thousands of values take a while.
        let _forgotten;
        let mut slots = self.slots();
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        if slots.len() >= CAPACITY {
            _forgotten = std::mem::take(&mut *slots);
        }
        Arc::clone(slots.entry(key.to_owned()).or_default())
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Arc<Slot<V>>>> {
        lock(&self.slots)
    }
}

impl<V: Clone> Slot<V> {
    fn fresh(&self, now: Age, max_age: i64) -> Option<V> {
        let kept = self.kept();
        let Kept { value, age } = kept.as_ref()?;
        age.is_fresh(now, max_age).then(|| value.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept<V>>> {
        lock(&self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(recent: &Recent<String, u32>, key: &str) {
        *recent.slot(key).kept() = Some(Kept { value: 1, age: Age::default() });
    }

    #[test]
    fn whatever_is_asked_for_only_so_many_are_kept() {
        let recent = Recent::new(MAX_AGE, Rings::All);
        for number in 0..3 * CAPACITY {
            read(&recent, &number.to_string());
            assert!(recent.slots().len() <= CAPACITY, "{number}");
        }
        let newest = (3 * CAPACITY - 1).to_string();
        assert!(recent.slots().get(&newest).is_some_and(|slot| slot.kept().is_some()), "the newest are there");
    }
}
