//! Writes what requests collect in memory to the database: subscription fetches about once a second, uses of sessions and
//! API tokens twice a minute.

use std::time::Duration;

use tokio::time::sleep;

use crate::actions::copy::LocalCopy;
use crate::actions::fetch_log::FetchLog;
use crate::actions::use_log::UseLog;
use crate::clock::Clock;
use crate::foundation::with_sources;
use crate::store::Db;

/// Pause between two writes of fetches.
const FETCHES_EVERY: Duration = Duration::from_secs(1);
/// Pause between two writes of uses.
const USES_EVERY: Duration = Duration::from_secs(30);

/// Moves fetches from memory to the copy's file, where they wait for the database.
pub(super) async fn store_in_copy(copy: &LocalCopy, fetches: &FetchLog) {
    if let Err(error) = copy.store_fetches(fetches).await {
        // Nothing is lost: the next call writes these fetches too.
        tracing::warn!(error = with_sources(&error), "could not save the log of subscription fetches");
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct LogWriter {
    pub(super) fetches: FetchLog,
    pub(super) uses: [UseLog; 2],
    pub(super) copy: Option<LocalCopy>,
    pub(super) db: Db,
    pub(super) clock: Clock,
}

impl LogWriter {
    /// Writes for ever.
    pub(super) async fn write_from_time_to_time(self) {
        let fetches = async {
            loop {
                // A copy may have fetches that were recorded before this process.
                if self.copy.is_none() {
                    self.fetches.has_work().await;
                }
                sleep(FETCHES_EVERY).await;
                self.write_fetches().await;
            }
        };
        let uses = async {
            loop {
                sleep(USES_EVERY).await;
                self.write_uses().await;
            }
        };
        tokio::join!(fetches, uses);
    }

    /// Writes everything since the last writes.
    pub(super) async fn write(&self) {
        self.write_fetches().await;
        self.write_uses().await;
    }

    async fn write_fetches(&self) {
        let written = match &self.copy {
            Some(copy) => copy.write_fetches(&self.fetches, &self.db).await,
            None => self.fetches.flush(&self.db, &self.clock).await.map(drop),
        };
        if let Err(error) = written {
            // Nothing is lost: the next call writes these fetches too.
            tracing::warn!(error = with_sources(&error), "could not save the log of subscription fetches");
        }
    }

    async fn write_uses(&self) {
        for uses in &self.uses {
            if let Err(error) = uses.flush(&self.db).await {
                // The next call writes these uses too.
                tracing::warn!(
                    error = with_sources(&error),
                    "could not save when sessions and API tokens were last used"
                );
            }
        }
    }
}
