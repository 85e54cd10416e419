//! The last fetch of each user's subscription: collected in memory and written about once a second, because a write per
//! fetch would be most of the database's work. This process shows its own fetches at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::ids::UserId;
use crate::domain::moment::{BootTime, Moment};
use crate::domain::user::User;
use crate::foundation::lock;
use crate::store::copy::file::CopyFile;
use crate::store::users::subscription_fetches;
use crate::store::users::subscription_fetches::Fetch;
use crate::store::{Db, StoreError};

/// Users between two writes; fetches of further users are dropped.
const CAPACITY: usize = 100_000;
/// Rows per transaction.
const CHUNK: usize = 2_000;
/// Time after a write during which its fetches still overlay users, who may have been cached before (microseconds).
const REMEMBERED: i64 = 2 * super::cache::MAX_AGE;
/// A longer user agent is cut (characters).
const MAX_AGENT: usize = 512;

/// The last fetches that the database may not have yet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct FetchLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pages: Mutex<Pages>,
    /// Notified when the first fetch after a write is recorded.
    recorded: Notify,
    /// Held during a write.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Pages {
    fresh: HashMap<UserId, Fetch>,
    /// Being written, and visible until then.
    leaving: HashMap<UserId, Fetch>,
    /// Written at that time, the last write at the end.
    written: Vec<(BootTime, HashMap<UserId, Fetch>)>,
}

impl Pages {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.leaving.is_empty() && self.written.is_empty()
    }

    fn of(&self, user: UserId) -> Option<&Fetch> {
        let written = self.written.iter().rev().map(|(_, page)| page);
        [&self.fresh, &self.leaving].into_iter().chain(written).find_map(|page| page.get(&user))
    }
}

impl FetchLog {
    /// Records that a user's subscription was fetched.
    pub fn record(&self, user: UserId, at: Moment, user_agent: &str) {
        let fetch = Fetch { at, user_agent: user_agent.chars().take(MAX_AGENT).collect() };
        let mut pages = self.pages();
        if let Some(known) = pages.fresh.get_mut(&user) {
            // Two threads may get here in another order than they read the clock.
            if known.at <= fetch.at {
                *known = fetch;
            }
        } else if pages.fresh.len() < CAPACITY {
            pages.fresh.insert(user, fetch);
            if pages.fresh.len() == 1 {
                self.0.recorded.notify_one();
            }
        }
    }

    /// Waits until a write has something to do.
    pub async fn has_work(&self) {
        while self.pages().is_empty() {
            self.0.recorded.notified().await;
        }
    }

    /// Updates a user from the database with its last fetch, if that is newer.
    pub fn overlay(&self, user: &mut User) {
        let pages = self.pages();
        if let Some(fetch) = pages.of(user.id)
            && user.sub_updated_at.is_none_or(|known| known <= fetch.at)
        {
            user.sub_updated_at = Some(fetch.at);
            user.sub_last_user_agent = Some(fetch.user_agent.clone());
        }
    }

    /// Writes all fetches and returns the number of users. After an error nothing is lost: the next call writes them.
    pub async fn flush(&self, db: &Db, clock: &Clock) -> Result<usize, StoreError> {
        self.write_all(Place::Database(db), clock).await
    }

    /// Like [`FetchLog::flush`], into the file of a copy, where they wait for the database.
    pub async fn flush_into(&self, file: &CopyFile, clock: &Clock) -> Result<usize, StoreError> {
        self.write_all(Place::Copy(file), clock).await
    }

    async fn write_all(&self, place: Place<'_>, clock: &Clock) -> Result<usize, StoreError> {
        let _writing = self.0.writing.lock().await;
        // What an earlier call could not write comes first.
        let late = self.write_leaving(place, clock).await?;
        {
            let mut pages = self.pages();
            pages.leaving = std::mem::take(&mut pages.fresh);
        }
        Ok(late + self.write_leaving(place, clock).await?)
    }

    async fn write_leaving(&self, place: Place<'_>, clock: &Clock) -> Result<usize, StoreError> {
        let mut fetches: Vec<_> = self.pages().leaving.iter().map(|(user, fetch)| (*user, fetch.clone())).collect();
        fetches.sort_unstable_by_key(|(user, _)| *user);
        for chunk in fetches.chunks(CHUNK) {
            match place {
                Place::Database(db) => write(db, chunk).await?,
                Place::Copy(file) => file.store_fetches(chunk).await?,
            }
        }
        let now = clock.boot();
        let mut pages = self.pages();
        pages.written.retain(|(at, _)| now.micros() - at.micros() < REMEMBERED);
        if !fetches.is_empty() {
            let page = std::mem::take(&mut pages.leaving);
            pages.written.push((now, page));
        }
        Ok(fetches.len())
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        lock(&self.0.pages)
    }
}

/// Where fetches are written to.
#[derive(Clone, Copy)]
enum Place<'a> {
    Database(&'a Db),
    Copy(&'a CopyFile),
}

/// Moves fetches that waited in the file of a copy to the database. Returns their number.
pub async fn write_waiting(file: &CopyFile, db: &Db) -> Result<usize, StoreError> {
    let mut written = 0;
    loop {
        let waiting = file.stored_fetches(CHUNK).await?;
        if waiting.is_empty() {
            return Ok(written);
        }
        write(db, &waiting).await?;
        file.forget_fetches(&waiting).await?;
        written += waiting.len();
    }
}

async fn write(db: &Db, fetches: &[(UserId, Fetch)]) -> Result<(), StoreError> {
    db.transaction("write subscription fetches", async |tx| subscription_fetches::upsert(tx, fetches).await).await
}
