//! Expensive renderings take turns: at most half of the workers are busy with them, and the others go on.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns of expensive renderings. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Self(Arc::new(Semaphore::new((workers / 2).max(1))))
    }
}

impl Turns {
    /// Waits for a turn, in the order of the requests, if the work is expensive. `None`: it needs none.
    pub(super) async fn take(&self, is_expensive: bool) -> Option<OwnedSemaphorePermit> {
        if !is_expensive {
            return None;
        }
        // The semaphore is never closed.
        self.0.clone().acquire_owned().await.ok()
    }
}
