//! Charts of users' traffic take turns: one of an admin at a time, and two in all. Each reads the replies of all nodes of
//! the last minutes, some hundred megabytes in a large panel.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::http::error::ApiError;
use super::http::shares::{Share, Shares};
use crate::actions::attempt_limiter::Subject;
use crate::domain::admin::Admin;

/// Charts that are read at the same time.
const AT_ONCE: usize = 2;
/// Longest wait for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(6);

/// The turns of this process.
#[derive(Debug)]
pub struct Charts {
    of_admins: Shares,
    all: Semaphore,
}

impl Default for Charts {
    fn default() -> Self {
        Self { of_admins: Shares::of(1), all: Semaphore::new(AT_ONCE) }
    }
}

impl Charts {
    /// Waits for an admin's turn, which lasts until both are dropped.
    pub(super) async fn turn(&self, admin: &Admin) -> Result<(Share<'_>, SemaphorePermit<'_>), ApiError> {
        let waiting = async {
            let mut share = self.of_admins.share(Subject::name(&admin.username));
            share.take(1).await;
            // The semaphore is never closed.
            Some((share, self.all.acquire().await.ok()?))
        };
        let turn = timeout(LONGEST_WAIT, waiting).await.ok().flatten();
        turn.ok_or_else(|| ApiError::unavailable("Charts of traffic take long at the moment, try again"))
    }
}
