//! Users by name: from a cache, or read in batches, one statement for all names that are asked for at once.
//!
//! A lone request is read at once. Under load, the fixed cost of a statement (a switch of threads on SQLite, a round
//! trip on PostgreSQL) is shared by all requests that arrived during the statement before.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::Panel;
use super::cache::{ANSWER_WITHIN, Age, CAPACITY, Freshness, MAX_AGE};
use crate::domain::change::Changed;
use crate::domain::user::User;
use crate::foundation::lock;
use crate::store::{StoreError, users};

/// A user is shown with its owner and services. Usage is not published: it may be a second old.
const FRESHNESS: Freshness =
    Freshness { depends_on: &[Changed::Users, Changed::Admins, Changed::Services], max_age: MAX_AGE, min_age: 0 };

/// Names in one statement.
const BATCH: usize = 64;

/// Longest name in bytes that is cached: 32 letters of any script, which no user's name exceeds. Longer names come from
/// strangers, who could fill the memory with them.
const MAX_CACHED_NAME: usize = 128;

/// Users by name.
#[derive(Debug)]
pub struct Lookups {
    panel: Panel,
    cache: UserCache,
    queue: mpsc::UnboundedSender<PendingRead>,
}

#[derive(Debug)]
struct PendingRead {
    username: String,
    answer: oneshot::Sender<Answer>,
}

/// Cached users, and names that no user has.
#[derive(Clone, Debug, Default)]
struct UserCache(Arc<Mutex<HashMap<String, (Found, Age)>>>);

type Found = Option<Arc<User>>;
type Answer = Result<Found, StoreError>;

impl Lookups {
    /// Starts a reader for each [`BATCH`] of the requests that are handled at once. A reader runs one statement at a
    /// time: fewer and larger statements cost less. The readers end when the returned value is dropped.
    pub fn start(panel: &Panel, requests_at_once: usize) -> Self {
        let (queue, pending) = mpsc::unbounded_channel();
        let (cache, pending) = (UserCache::default(), Arc::new(tokio::sync::Mutex::new(pending)));
        for _ in 0..(requests_at_once / BATCH).max(1) {
            tokio::spawn(read_batches(panel.clone(), cache.clone(), pending.clone()));
        }
        Self { panel: panel.clone(), cache, queue }
    }

    /// Returns the user of that name, at most [`MAX_AGE`] old. Removed users have no name.
    pub async fn recent_user(&self, username: &str) -> Answer {
        match self.cache.get(username, now(&self.panel)) {
            Some(found) => Ok(found),
            None => self.user(username).await,
        }
    }

    /// Returns the user of that name, read from the database.
    pub async fn user(&self, username: &str) -> Answer {
        let (answer, answered) = oneshot::channel();
        // Without a reader, `answer` is dropped, and the next line returns an error.
        let _ = self.queue.send(PendingRead { username: username.to_owned(), answer });
        match timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(answer)) => answer,
            _ => Err(StoreError::timed_out("a user by name")),
        }
    }
}

type Queue = Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<PendingRead>>>;

fn now(panel: &Panel) -> Age {
    FRESHNESS.now(&panel.changes, &panel.clock)
}

/// Reads batches from the queue until it is closed.
async fn read_batches(panel: Panel, cache: UserCache, queue: Queue) {
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        {
            let mut queue = queue.lock().await;
            if queue.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            // Requests that are just about to ask join the same statement.
            yield_now().await;
            while batch.len() < BATCH
                && let Ok(another) = queue.try_recv()
            {
                batch.push(another);
            }
        }
        batch.retain(|pending| !pending.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        // A panic fails this batch only.
        let _ = AssertUnwindSafe(read(&panel, &cache, batch)).catch_unwind().await;
    }
}

/// Reads a batch in one statement and answers each request.
async fn read(panel: &Panel, cache: &UserCache, mut batch: Vec<PendingRead>) {
    batch.sort_unstable_by(|one, other| one.username.cmp(&other.username));
    let mut names: Vec<&str> = batch.iter().map(|pending| pending.username.as_str()).collect();
    names.dedup();
    let age = now(panel);
    let found = timeout(ANSWER_WITHIN, users::by_usernames(&panel.db, &names)).await;
    let mut found = match found.unwrap_or_else(|_| Err(StoreError::timed_out("users by name"))) {
        Ok(found) => found,
        Err(error) => {
            for pending in batch {
                // The request may have been cancelled.
                let _ = pending.answer.send(Err(error.clone()));
            }
            return;
        }
    };
    // Both in the same order, so that one pass assigns the users.
    found.sort_unstable_by(|one, other| one.username.cmp(&other.username));
    let (mut found, mut last) = (found.into_iter().peekable(), None::<Arc<User>>);
    let (mut answers, mut read) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
    for PendingRead { username, answer } in batch {
        let is_of_name = |user: &User| user.username.as_deref() == Some(username.as_str());
        if !last.as_deref().is_some_and(is_of_name) {
            last = found.next_if(is_of_name).map(Arc::new);
        }
        answers.push((answer, last.clone()));
        read.push((username, last.clone()));
    }
    for (answer, found) in answers {
        let _ = answer.send(Ok(found));
    }
    cache.insert(read, age);
}

impl UserCache {
    fn get(&self, username: &str, now: Age) -> Option<Found> {
        let entries = self.lock();
        let (found, age) = entries.get(username)?;
        FRESHNESS.is_fresh(*age, now).then(|| found.clone())
    }

    fn insert(&self, read: Vec<(String, Found)>, age: Age) {
        // Declared before the lock, to be dropped after it: dropping thousands of users takes a while.
        let _dropped;
        let mut entries = self.lock();
        if entries.len() + read.len() > CAPACITY {
            _dropped = std::mem::replace(&mut *entries, HashMap::with_capacity(CAPACITY));
        }
        for (name, found) in read.into_iter().filter(|(name, _)| name.len() <= MAX_CACHED_NAME) {
            match entries.entry(name) {
                // A read that began later has ended earlier.
                Entry::Occupied(entry) if entry.get().1 > age => {}
                entry => drop(entry.insert_entry((found, age))),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Found, Age)>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::changes::ChangeCounts;
    use crate::domain::moment::BootTime;

    fn age(micros: i64, local: u64) -> Age {
        Age { changes: ChangeCounts { local, remote: 0 }, at: BootTime::from_micros(micros) }
    }

    #[test]
    fn evicts_beyond_capacity_and_caches_no_long_name() {
        let (cache, age) = (UserCache::default(), Age::default());
        for number in 0..3 * CAPACITY {
            cache.insert(vec![(number.to_string(), None), ("n".repeat(MAX_CACHED_NAME + 1), None)], age);
            assert!(cache.lock().len() <= CAPACITY, "{number}");
        }
        let newest = (3 * CAPACITY - 1).to_string();
        assert_eq!(cache.get(&newest, age), Some(None), "the newest name is cached");
        assert!(cache.lock().keys().all(|name| name.len() <= MAX_CACHED_NAME), "no long name is");
    }

    #[test]
    fn cached_user_is_stale_after_its_time_and_after_a_change() {
        let cache = UserCache::default();
        cache.insert(vec![("ann".to_owned(), None)], age(5, 1));
        assert_eq!(cache.get("ann", age(4 + MAX_AGE, 1)), Some(None));
        assert_eq!(cache.get("ann", age(5 + MAX_AGE, 1)), None, "too old");
        assert_eq!(cache.get("ann", age(6, 2)), None, "changed");
    }

    #[test]
    fn older_read_replaces_no_newer_one() {
        let cache = UserCache::default();
        for older in [age(4, 2), age(9, 1)] {
            cache.insert(vec![("ann".to_owned(), None)], age(5, 2));
            cache.insert(vec![("ann".to_owned(), None)], older);
            assert_eq!(cache.get("ann", age(4 + MAX_AGE, 2)), Some(None), "{older:?}");
        }
    }
}
