//! A time-limited cache. A thousand requests for the same value read the database once: one reads, the others wait.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::timeout;

use super::changes::{ChangeCounts, Changes};
use crate::clock::Clock;
use crate::domain::change::Changed;
use crate::domain::moment::{BootTime, SECOND};
use crate::foundation::lock;
use crate::store::StoreError;

/// Longest time for which a change of another process, a revoked right for example, is not seen here (microseconds).
pub const MAX_AGE: i64 = SECOND;

/// Longest time for which a request waits for a shared value: as long as for a statement of its own.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// Number of cached values; when there are more, all are dropped. Keys come from requests, so that without a limit
/// strangers could fill the memory.
pub(super) const CAPACITY: usize = 4_096;

/// When a cached value is too old.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// Changes of this process that make a value stale at once.
    pub depends_on: &'static [Changed],
    /// Age at which a value is stale in any case (microseconds).
    pub max_age: i64,
    /// Age from which a wake-up of another process makes a value stale (microseconds). Above 0 it limits how often an
    /// expensive value is read while other processes send many wake-ups.
    pub min_age: i64,
}

/// When a value was read: taken before the read, so that a change during the read makes the value stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    pub(super) changes: ChangeCounts,
    pub(super) at: BootTime,
}

impl Freshness {
    /// The age of a value that is read from now on.
    pub(super) fn now(&self, changes: &Changes, clock: &Clock) -> Age {
        Age { changes: changes.counts(self.depends_on), at: clock.boot() }
    }

    /// True if a value of this age is still good.
    pub(super) fn is_fresh(&self, age: Age, now: Age) -> bool {
        let elapsed = now.at.micros() - age.at.micros();
        let max_age = if age.changes.remote == now.changes.remote { self.max_age } else { self.min_age };
        age.changes.local == now.changes.local && elapsed < max_age
    }
}

/// Cached values by key.
#[derive(Debug)]
pub struct Cache<K, V> {
    changes: Changes,
    clock: Clock,
    freshness: Freshness,
    slots: Mutex<HashMap<K, Arc<Slot<V>>>>,
}

#[derive(Debug)]
struct Slot<V> {
    entry: Mutex<Option<Entry<V>>>,
    /// Held while the value is read.
    reading: tokio::sync::Mutex<()>,
    failures: Mutex<Failures>,
}

/// Reads that failed.
#[derive(Clone, Debug, Default)]
struct Failures {
    count: u64,
    last: Option<StoreError>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    age: Age,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { entry: Mutex::new(None), reading: tokio::sync::Mutex::new(()), failures: Mutex::default() }
    }
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// An empty cache.
    pub fn new(changes: Changes, clock: Clock, freshness: Freshness) -> Self {
        Self { changes, clock, freshness, slots: Mutex::default() }
    }

    /// Returns the value of a key, if need be from `read`, which is given the stale value, if any. Errors are not cached,
    /// but those who waited for a read that failed get its error, and do not try one after the other. If the one who
    /// reads is cancelled, the next one reads. Takes at most [`ANSWER_WITHIN`].
    pub async fn get<Q>(
        &self,
        key: &Q,
        read: impl AsyncFnOnce(Option<V>) -> Result<V, StoreError>,
    ) -> Result<V, StoreError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let slot = self.slot(key);
        if let Some(value) = slot.fresh(&self.freshness, self.now()) {
            return Ok(value);
        }
        timeout(ANSWER_WITHIN, self.read(&slot, read))
            .await
            .unwrap_or_else(|_| Err(StoreError::timed_out("a shared read")))
    }

    /// Returns the value of a key if it is fresh.
    pub fn fresh(&self, key: &K) -> Option<V> {
        let slot = Arc::clone(self.slots().get(key)?);
        slot.fresh(&self.freshness, self.now())
    }

    /// Returns the value that was read last, however old.
    pub fn last(&self, key: &K) -> Option<V> {
        let slot = Arc::clone(self.slots().get(key)?);
        let entry = slot.entry();
        entry.as_ref().map(|entry| entry.value.clone())
    }

    /// Waits for the read that is running, if any, then reads.
    async fn read(
        &self,
        slot: &Slot<V>,
        read: impl AsyncFnOnce(Option<V>) -> Result<V, StoreError>,
    ) -> Result<V, StoreError> {
        let failed_before = slot.failures().count;
        let _reading = slot.reading.lock().await;
        let age = self.now();
        if let Some(value) = slot.fresh(&self.freshness, age) {
            return Ok(value);
        }
        {
            let failures = slot.failures();
            if let Some(error) = &failures.last
                && failures.count != failed_before
            {
                return Err(error.clone());
            }
        }
        let stale = slot.entry().as_ref().map(|entry| entry.value.clone());
        match read(stale).await {
            Ok(value) => {
                *slot.entry() = Some(Entry { value: value.clone(), age });
                Ok(value)
            }
            Err(error) => {
                let mut failures = slot.failures();
                *failures = Failures { count: failures.count + 1, last: Some(error.clone()) };
                Err(error)
            }
        }
    }

    fn now(&self) -> Age {
        self.freshness.now(&self.changes, &self.clock)
    }

    /// Returns the slot of a key, a new one if there is none. A slot that is dropped during a read still gives its
    /// readers their value; the next request reads again.
    fn slot<Q>(&self, key: &Q) -> Arc<Slot<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        // Declared before the lock, to be dropped after it: dropping thousands of values takes a while.
        let _dropped;
        let mut slots = self.slots();
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        if slots.len() >= CAPACITY {
            _dropped = std::mem::take(&mut *slots);
        }
        Arc::clone(slots.entry(key.to_owned()).or_default())
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<K, Arc<Slot<V>>>> {
        lock(&self.slots)
    }
}

impl<V: Clone> Slot<V> {
    fn fresh(&self, freshness: &Freshness, now: Age) -> Option<V> {
        let entry = self.entry();
        let Entry { value, age } = entry.as_ref()?;
        freshness.is_fresh(*age, now).then(|| value.clone())
    }

    fn entry(&self) -> MutexGuard<'_, Option<Entry<V>>> {
        lock(&self.entry)
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        lock(&self.failures)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::domain::moment::Moment;

    const FRESHNESS: Freshness = Freshness { depends_on: &[Changed::Hosts], max_age: 1_000, min_age: 100 };

    struct Test {
        changes: Changes,
        clock: Clock,
        cache: Cache<String, u32>,
        reads: std::cell::Cell<u32>,
    }

    impl Test {
        fn new() -> Self {
            let (changes, clock) = (Changes::default(), Clock::fixed(Moment::from_micros(0)));
            let cache = Cache::new(changes.clone(), clock.clone(), FRESHNESS);
            Self { changes, clock, cache, reads: std::cell::Cell::new(0) }
        }

        /// Asks for a value, which is the number of reads.
        async fn get(&self) -> u32 {
            let read = async |_| {
                self.reads.set(self.reads.get() + 1);
                tokio::task::yield_now().await;
                Ok::<_, StoreError>(self.reads.get())
            };
            self.cache.get("key", read).await.expect("no error")
        }
    }

    #[tokio::test]
    async fn value_is_read_once_for_many_requests_until_it_is_too_old() {
        let test = Test::new();
        assert_eq!(join_all((0..10).map(|_| test.get())).await, [1; 10]);
        test.clock.advance(999);
        assert_eq!(test.get().await, 1);
        test.clock.advance(1);
        assert_eq!(test.get().await, 2);
    }

    #[tokio::test]
    async fn own_change_makes_the_value_stale_at_once() {
        let test = Test::new();
        assert_eq!(test.get().await, 1);
        test.changes.publish(Changed::Users);
        assert_eq!(test.get().await, 1, "the value does not depend on users");
        test.changes.publish(Changed::Hosts);
        assert_eq!(test.get().await, 2);
    }

    #[tokio::test]
    async fn change_during_a_read_makes_the_value_stale() {
        let test = Test::new();
        let read = async |_| {
            test.changes.publish(Changed::Hosts);
            Ok::<_, StoreError>(0)
        };
        assert_eq!(test.cache.get("key", read).await.expect("no error"), 0);
        assert_eq!(test.get().await, 1);
    }

    #[test]
    fn wake_up_of_another_process_makes_a_value_stale_after_its_minimum_age() {
        let age =
            |micros, remote| Age { at: BootTime::from_micros(micros), changes: ChangeCounts { local: 0, remote } };
        assert!(FRESHNESS.is_fresh(age(5, 1), age(104, 2)));
        assert!(!FRESHNESS.is_fresh(age(5, 1), age(105, 2)));
        assert!(FRESHNESS.is_fresh(age(5, 1), age(105, 1)));
    }

    #[tokio::test]
    async fn error_is_not_cached_and_the_stale_value_is_given_to_the_next_read() {
        let test = Test::new();
        assert_eq!(test.get().await, 1);
        test.changes.publish(Changed::Hosts);
        let read = async |stale| {
            assert_eq!(stale, Some(1));
            Err(StoreError::timed_out("a read"))
        };
        test.cache.get("key", read).await.expect_err("the read failed");
        assert_eq!(test.get().await, 2);
    }

    #[tokio::test]
    async fn all_who_waited_for_a_read_that_failed_get_its_error() {
        let test = Test::new();
        let fail = async |_| {
            test.reads.set(test.reads.get() + 1);
            tokio::task::yield_now().await;
            Err::<u32, _>(StoreError::timed_out("a read"))
        };
        for answer in join_all((0..10).map(|_| test.cache.get("key", fail))).await {
            answer.expect_err("the read failed");
        }
        assert_eq!(test.reads.get(), 1);
        assert_eq!(test.get().await, 2, "who asks later reads again");
    }

    #[tokio::test]
    async fn next_one_reads_when_the_first_gives_up() {
        let test = Test::new();
        let never = async |_| std::future::pending::<Result<u32, StoreError>>().await;
        let mut first = Box::pin(test.cache.get("key", never));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(test.get());
        assert!(futures_util::poll!(&mut second).is_pending(), "the first one reads");
        drop(first);
        assert_eq!(second.await, 1);
    }

    #[tokio::test]
    async fn evicts_beyond_capacity() {
        let test = Test::new();
        for number in 0..3 * CAPACITY {
            let read = async |_| Ok::<_, StoreError>(1);
            test.cache.get(number.to_string().as_str(), read).await.expect("no error");
            assert!(test.cache.slots().len() <= CAPACITY, "{number}");
        }
        let newest = (3 * CAPACITY - 1).to_string();
        assert!(test.cache.slots().contains_key(&newest), "the newest value is cached");
    }
}
