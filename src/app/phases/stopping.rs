//! Phase 4: nothing runs any more; the last writes are due.

use tokio::time::{Instant, timeout_at};

use crate::app::fetch_writer::FetchWriter;

/// A panel that serves no more requests.
pub(in crate::app) struct Stopping {
    pub(super) fetches: FetchWriter,
    /// End of the grace.
    pub(super) end: Instant,
}

impl Stopping {
    /// Writes what is only in memory and closes the database.
    pub(in crate::app) async fn close(self) {
        let closing = async {
            self.fetches.write().await;
            self.fetches.db.close().await;
        };
        if timeout_at(self.end, closing).await.is_err() {
            tracing::warn!("could not close the database connections within SHUTDOWN_GRACE_SECONDS");
        }
    }
}
