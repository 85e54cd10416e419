//! The last use of sessions and API tokens: collected in memory and written about twice a minute, because a write per
//! request would be most of the database's work.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use uuid::Uuid;

use crate::domain::moment::Moment;
use crate::foundation::lock;
use crate::store::access::api_tokens;
use crate::store::access::sessions::{self, Use};
use crate::store::{Db, StoreError};

/// Sessions or tokens between two writes; uses of further ones are dropped.
const CAPACITY: usize = 20_000;
/// Rows per transaction.
const CHUNK: usize = 1_000;

/// The last uses of sessions or of tokens that the database does not have yet. Cheap to clone.
#[derive(Clone, Debug)]
pub struct UseLog {
    kind: UseKind,
    uses: Arc<Mutex<HashMap<Uuid, LastUse>>>,
}

/// The kind of what is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseKind {
    /// Sessions.
    Session,
    /// API tokens.
    ApiToken,
}

#[derive(Clone, Copy, Debug)]
struct LastUse {
    at: Moment,
    address: Option<IpAddr>,
}

impl UseLog {
    /// An empty log.
    pub fn new(kind: UseKind) -> Self {
        Self { kind, uses: Arc::default() }
    }

    /// Records that a session or a token was used. Uses may come out of order: the newest counts.
    pub fn record(&self, id: Uuid, at: Moment, address: Option<IpAddr>) {
        let mut uses = self.uses();
        if let Some(known) = uses.get_mut(&id) {
            if at >= known.at {
                *known = LastUse { at, address };
            }
        } else if uses.len() < CAPACITY {
            uses.insert(id, LastUse { at, address });
        }
    }

    /// Writes all uses. After an error they are written by the next call.
    pub async fn flush(&self, db: &Db) -> Result<(), StoreError> {
        let taken = std::mem::take(&mut *self.uses());
        let mut uses: Vec<Use> = taken.iter().map(|(id, last)| last.of(*id)).collect();
        uses.sort_unstable_by_key(|it| it.id);
        for chunk in uses.chunks(CHUNK) {
            let written = db.transaction("write last uses", async |tx| match self.kind {
                UseKind::Session => sessions::touch(tx, chunk).await,
                UseKind::ApiToken => api_tokens::touch(tx, chunk).await,
            });
            let written = written.await;
            if let Err(error) = written {
                for (id, last) in taken {
                    self.record(id, last.at, last.address);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<Uuid, LastUse>> {
        lock(&self.uses)
    }
}

impl LastUse {
    fn of(self, id: Uuid) -> Use {
        Use { id, at: self.at, address: self.address.map(|address| address.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_is_bounded_and_the_last_use_counts() {
        let log = UseLog::new(UseKind::Session);
        let (id, at) = (Uuid::new_v4(), Moment::from_micros);
        log.record(id, at(5), None);
        log.record(id, at(4), Some([192, 0, 2, 1].into()));
        for number in 0..2 * CAPACITY {
            log.record(Uuid::from_u128(number as u128), at(1), None);
        }
        let uses = log.uses();
        assert_eq!(uses.len(), CAPACITY);
        let last = uses.get(&id).expect("recorded");
        assert_eq!((last.at, last.address), (at(5), None), "with the address of that use");
    }
}
