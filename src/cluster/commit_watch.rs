//! On SQLite: looks five times a second whether others have committed, and hints at it to the receivers that poll
//! elsewhere. A look costs no statement while nobody writes.

use super::tick::tick;
use super::wakeup::Wakeup;
use crate::store::OtherCommits;

/// Watches for ever.
pub async fn watch(mut commits: OtherCommits, wakeup: Wakeup) {
    loop {
        tick().await;
        // After an error nothing is known: the receivers look and report their own error.
        if commits.any().await.unwrap_or(true) {
            wakeup.notify_pollers();
        }
    }
}
