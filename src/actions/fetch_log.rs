//! When subscriptions were fetched: kept in memory and written together about each second, because apps fetch all
//! day and a write per fetch would be most of the database's work. This process sees its own notes at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::clock::Clock;
use crate::domain::ids::UserId;
use crate::domain::moment::{BootTime, Moment};
use crate::domain::user::User;
use crate::foundation::lock;
use crate::store::users::subscription_fetches;
use crate::store::users::subscription_fetches::Fetch;
use crate::store::{Db, StoreError};

/// At most so many users between two writes; the fetches of further ones are not noted.
const CAPACITY: usize = 100_000;
/// Rows per transaction.
const CHUNK: usize = 2_000;
/// For so long after they are written, notes are still put over users: one may have been read, and kept, before.
const REMEMBERED: i64 = 2 * super::recent::MAX_AGE;
/// A program's name is cut after so many characters.
const MAX_AGENT: usize = 512;

/// The last fetches that the database may not have yet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct FetchLog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pages: Mutex<Pages>,
    /// Held by whoever writes.
    pen: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Pages {
    fresh: HashMap<UserId, Fetch>,
    /// On their way to the database, and visible until they are there.
    leaving: HashMap<UserId, Fetch>,
    /// Written at that time, the newest last.
    written: Vec<(BootTime, HashMap<UserId, Fetch>)>,
}

impl Pages {
    fn of(&self, user: UserId) -> Option<&Fetch> {
        let written = self.written.iter().rev().map(|(_, page)| page);
        [&self.fresh, &self.leaving].into_iter().chain(written).find_map(|page| page.get(&user))
    }
}

impl FetchLog {
    /// Notes that a user's subscription was fetched.
    pub fn note(&self, user: UserId, at: Moment, user_agent: &str) {
        let fetch = Fetch { at, user_agent: user_agent.chars().take(MAX_AGENT).collect() };
        let mut pages = self.pages();
        if let Some(known) = pages.fresh.get_mut(&user) {
            // Two threads may come here in another order than they looked at the clock.
            if known.at <= fetch.at {
                *known = fetch;
            }
        } else if pages.fresh.len() < CAPACITY {
            pages.fresh.insert(user, fetch);
        }
    }

    /// Puts what is noted here over what the database says.
    pub fn overlay(&self, user: &mut User) {
        let pages = self.pages();
        if let Some(fetch) = pages.of(user.id)
            && user.sub_updated_at.is_none_or(|known| known <= fetch.at)
        {
            user.sub_updated_at = Some(fetch.at);
            user.sub_last_user_agent = Some(fetch.user_agent.clone());
        }
    }

    /// Writes everything noted so far; how many users' fetches that were. After an error nothing is lost: the next call
    /// writes it.
    pub async fn flush(&self, db: &Db, clock: &Clock) -> Result<usize, StoreError> {
        let _pen = self.0.pen.lock().await;
        // What an earlier call could not write goes first.
        let late = self.write_leaving(db, clock).await?;
        {
            let mut pages = self.pages();
            pages.leaving = std::mem::take(&mut pages.fresh);
        }
        Ok(late + self.write_leaving(db, clock).await?)
    }

    async fn write_leaving(&self, db: &Db, clock: &Clock) -> Result<usize, StoreError> {
        let mut fetches: Vec<_> = self.pages().leaving.iter().map(|(user, fetch)| (*user, fetch.clone())).collect();
        fetches.sort_unstable_by_key(|(user, _)| *user);
        for chunk in fetches.chunks(CHUNK) {
            db.transaction("write subscription fetches", async |tx| subscription_fetches::upsert(tx, chunk).await)
                .await?;
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
