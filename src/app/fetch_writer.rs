//! Writes the log of subscription fetches to the database, about once a second.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::actions::fetch_log::FetchLog;
use crate::clock::Clock;
use crate::foundation::with_sources;
use crate::store::Db;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct FetchWriter {
    pub(super) fetches: FetchLog,
    pub(super) db: Db,
    pub(super) clock: Clock,
}

impl FetchWriter {
    /// Writes once a second, for ever.
    pub(super) async fn write_each_second(self) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            second.tick().await;
            self.write().await;
        }
    }

    /// Writes the fetches since the last write.
    pub(super) async fn write(&self) {
        if let Err(error) = self.fetches.flush(&self.db, &self.clock).await {
            // Nothing is lost: the next call writes these fetches too.
            tracing::warn!(error = with_sources(&error), "could not save the log of subscription fetches");
        }
    }
}
