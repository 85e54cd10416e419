//! Users by name: those who were read a moment ago, and the others as many in one statement as are asked for at once.
//!
//! A lone request is read for as soon as all who are ready have been heard. Under load, what a statement costs besides
//! its rows (hand-overs between threads on SQLite, round trips on PostgreSQL) is shared by all who came while others
//! were being read for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::Panel;
use super::recent::{Age, CAPACITY, MAX_AGE, Rings};
use crate::domain::user::User;
use crate::foundation::lock;
use crate::store::{StoreError, users};

/// A statement that takes longer has lost its server, and others wait behind it.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many names in one statement.
const TOGETHER: usize = 64;

/// Bytes of a name that is kept: 32 letters of any script. Nobody can have a longer one, and strangers would have their
/// texts kept.
const MAX_KEPT_NAME: usize = 128;

/// Users by name.
#[derive(Debug)]
pub struct Lookups {
    panel: Panel,
    kept: Shelf,
    line: mpsc::UnboundedSender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    username: String,
    answer: oneshot::Sender<Answer>,
}

/// The users who were read last, and the names that nobody had, with the time before they were read.
#[derive(Clone, Debug, Default)]
struct Shelf(Arc<Mutex<HashMap<String, (Found, Age)>>>);

type Found = Option<Arc<User>>;
type Answer = Result<Found, StoreError>;

impl Lookups {
    /// Where so many requests are worked on at once. There is a reader for each [`TOGETHER`] of them, which has one
    /// statement at a time: fewer, and fuller ones, cost less. The readers end with what this returns.
    pub fn start(panel: &Panel, requests_at_once: usize) -> Self {
        let (line, coming) = mpsc::unbounded_channel();
        let (kept, coming) = (Shelf::default(), Arc::new(tokio::sync::Mutex::new(coming)));
        for _ in 0..(requests_at_once / TOGETHER).max(1) {
            tokio::spawn(serve(panel.clone(), kept.clone(), coming.clone()));
        }
        Self { panel: panel.clone(), kept, line }
    }

    /// The user of that name as it was at most a moment ago; removed users have none.
    pub async fn recent_user(&self, username: &str) -> Answer {
        match self.kept.get(username, Age::now(&self.panel, Rings::All)) {
            Some(found) => Ok(found),
            None => self.user(username).await,
        }
    }

    /// The same, read now.
    pub async fn user(&self, username: &str) -> Answer {
        let (answer, coming) = oneshot::channel();
        // Without a reader, the answer is dropped.
        let _ = self.line.send(Waiting { username: username.to_owned(), answer });
        coming.await.unwrap_or_else(|_| Err(StoreError::timed_out("a user by name")))
    }
}

/// Reads for whoever stands in the line, until nobody can come any more.
async fn serve(panel: Panel, kept: Shelf, line: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Waiting>>>) {
    loop {
        let mut asked = Vec::with_capacity(TOGETHER);
        {
            let mut line = line.lock().await;
            if line.recv_many(&mut asked, TOGETHER).await == 0 {
                return;
            }
            // Whoever is about to ask gets into the same statement.
            yield_now().await;
            while asked.len() < TOGETHER
                && let Ok(another) = line.try_recv()
            {
                asked.push(another);
            }
        }
        asked.retain(|one| !one.answer.is_closed());
        if asked.is_empty() {
            continue;
        }
        // A panic is a failure for those who asked; the next ones are read for.
        let _ = AssertUnwindSafe(read(&panel, &kept, asked)).catch_unwind().await;
    }
}

/// One statement; everybody gets an answer.
async fn read(panel: &Panel, kept: &Shelf, mut asked: Vec<Waiting>) {
    asked.sort_unstable_by(|one, other| one.username.cmp(&other.username));
    let mut names: Vec<&str> = asked.iter().map(|one| one.username.as_str()).collect();
    names.dedup();
    let age = Age::now(panel, Rings::All);
    let found = timeout(PATIENCE, users::by_usernames(&panel.db, &names)).await;
    let mut found = match found.unwrap_or_else(|_| Err(StoreError::timed_out("users by name"))) {
        Ok(found) => found,
        Err(error) => {
            for one in asked {
                // Whoever asked may have gone.
                let _ = one.answer.send(Err(error.clone()));
            }
            return;
        }
    };
    // Both in one order: each user stands where the first who asked for it does.
    found.sort_unstable_by(|one, other| one.username.cmp(&other.username));
    let (mut found, mut last) = (found.into_iter().peekable(), None::<Arc<User>>);
    let (mut answers, mut read) = (Vec::with_capacity(asked.len()), Vec::with_capacity(asked.len()));
    for Waiting { username, answer } in asked {
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
    kept.keep(read, age);
}

impl Shelf {
    fn get(&self, username: &str, now: Age) -> Option<Found> {
        let kept = self.lock();
        let (found, age) = kept.get(username)?;
        age.is_fresh(now, MAX_AGE).then(|| found.clone())
    }

    fn keep(&self, read: Vec<(String, Found)>, age: Age) {
        // Before the lock, so that it goes after it: thousands of users take a while.
        let _forgotten;
        let mut kept = self.lock();
        if kept.len() + read.len() > CAPACITY {
            _forgotten = std::mem::replace(&mut *kept, HashMap::with_capacity(CAPACITY));
        }
        for (name, found) in read.into_iter().filter(|(name, _)| name.len() <= MAX_KEPT_NAME) {
            match kept.entry(name) {
                // Another reader began later and was quicker.
                Entry::Occupied(entry) if entry.get().1.is_after(age) => {}
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
    use crate::domain::moment::BootTime;

    #[test]
    fn whatever_is_asked_for_only_so_many_are_kept() {
        let (shelf, age) = (Shelf::default(), Age::default());
        for number in 0..3 * CAPACITY {
            shelf.keep(vec![(number.to_string(), None), ("n".repeat(MAX_KEPT_NAME + 1), None)], age);
            assert!(shelf.lock().len() <= CAPACITY, "{number}");
        }
        let newest = (3 * CAPACITY - 1).to_string();
        assert_eq!(shelf.get(&newest, age), Some(None), "the newest are there");
        assert!(shelf.lock().keys().all(|name| name.len() <= MAX_KEPT_NAME), "no long one is");
    }

    #[test]
    fn what_is_kept_is_good_for_a_while_and_until_the_bell_rings() {
        let shelf = Shelf::default();
        let age = |micros, rings| Age { at: BootTime::from_micros(micros), rings };
        shelf.keep(vec![("ann".to_owned(), None)], age(5, 1));
        assert_eq!(shelf.get("ann", age(4 + MAX_AGE, 1)), Some(None));
        assert_eq!(shelf.get("ann", age(5 + MAX_AGE, 1)), None, "it is too old");
        assert_eq!(shelf.get("ann", age(6, 2)), None, "somebody has changed something");
    }

    #[test]
    fn an_older_reading_replaces_no_newer_one() {
        let (shelf, age) = (Shelf::default(), |micros, rings| Age { at: BootTime::from_micros(micros), rings });
        for older in [age(4, 2), age(9, 1)] {
            shelf.keep(vec![("ann".to_owned(), None)], age(5, 2));
            shelf.keep(vec![("ann".to_owned(), None)], older);
            assert_eq!(shelf.get("ann", age(4 + MAX_AGE, 2)), Some(None), "{older:?}");
        }
    }
}
