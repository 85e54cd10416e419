//! Phase 4: nothing runs any more; the last writes are due.

use tokio::time::{Instant, timeout_at};

use crate::app::log_writer::LogWriter;

/// A panel that serves no more requests.
pub(in crate::app) struct Stopping {
    pub(super) logs: LogWriter,
    /// End of the grace.
    pub(super) end: Instant,
    /// The HTTP server ended by itself.
    pub(super) has_failed: bool,
}

impl Stopping {
    /// Writes what is only in memory and closes the database. An error if the panel stops because of a fault.
    pub(in crate::app) async fn close(self) -> anyhow::Result<()> {
        let closing = async {
            self.logs.write().await;
            self.logs.db.close().await;
        };
        if timeout_at(self.end, closing).await.is_err() {
            tracing::warn!("could not close the database connections within SHUTDOWN_GRACE_SECONDS");
        }
        anyhow::ensure!(!self.has_failed, "the HTTP server ended");
        Ok(())
    }
}
