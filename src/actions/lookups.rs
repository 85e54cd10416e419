//! Users by name, those that are asked for at the same moment in one statement.
//!
//! A lone request is read for as soon as all who are ready have been heard. Under load, what a statement costs besides
//! its rows (hand-overs between threads on SQLite, round trips on PostgreSQL) is shared by all who came while others
//! were being read for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::domain::user::User;
use crate::store::{Db, StoreError, users};

/// A statement that takes longer has lost its server, and others wait behind it.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many names in one statement.
const TOGETHER: usize = 64;

/// Who waits to be read for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lookups {
    line: Arc<Mutex<Line>>,
    /// So many statements at once; whoever comes then waits for the next one.
    at_once: usize,
}

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Waiting>,
    under_way: usize,
}

#[derive(Debug)]
struct Waiting {
    username: String,
    answer: oneshot::Sender<Answer>,
}

/// One of the statements at once.
struct Place<'a> {
    lookups: &'a Lookups,
    given_back: bool,
}

type Answer = Result<Option<Arc<User>>, StoreError>;

impl Lookups {
    /// Where so many requests are worked on at once. There is a statement for each [`TOGETHER`] of them: fewer, and fuller
    /// ones, cost less.
    pub fn for_requests(at_once: usize) -> Self {
        Self { line: Arc::default(), at_once: (at_once / TOGETHER).max(1) }
    }

    /// The user of that name; removed users have none.
    pub async fn user(&self, db: &Db, username: &str) -> Answer {
        let (answer, coming) = oneshot::channel();
        if self.queue(Waiting { username: username.to_owned(), answer }) {
            // On its own: whoever came first may go before the others have their answers.
            tokio::spawn(self.clone().read(db.clone()));
        }
        coming.await.unwrap_or_else(|_| Err(StoreError::timed_out("a user by name")))
    }

    /// Whether another reader is needed.
    fn queue(&self, waiting: Waiting) -> bool {
        let mut line = self.line();
        line.waiting.push(waiting);
        let needed = line.under_way < self.at_once;
        line.under_way += usize::from(needed);
        needed
    }

    async fn read(self, db: Db) {
        let mut place = Place { lookups: &self, given_back: false };
        // Whoever is about to ask gets into the same statement.
        yield_now().await;
        while let Some(asked) = place.next() {
            let mut names: Vec<&str> = asked.iter().map(|one| one.username.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let found = timeout(PATIENCE, users::by_usernames(&db, &names)).await;
            let found = found.unwrap_or_else(|_| Err(StoreError::timed_out("users by name")));
            let found = found.map(|found| {
                let named = found.into_iter().map(|user| (user.username.clone(), Arc::new(user)));
                named.collect::<HashMap<_, _>>()
            });
            for Waiting { username, answer } in asked {
                let username = Some(username);
                let of_name = found.as_ref().map(|found| found.get(&username).cloned());
                // Whoever asked may have gone.
                let _ = answer.send(of_name.map_err(StoreError::clone));
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing under this lock can leave the line half changed.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Who is next; `None` gives the place back, while nobody can come.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut line = self.lookups.line();
        let together = line.waiting.len().min(TOGETHER);
        if together == 0 {
            line.under_way -= 1;
            self.given_back = true;
            return None;
        }
        Some(line.waiting.drain(..together).collect())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // After a panic. Without another reader, those who wait would wait for somebody else to come.
        if !self.given_back {
            let mut line = self.lookups.line();
            line.under_way -= 1;
            if line.under_way == 0 {
                line.waiting.clear();
            }
        }
    }
}
