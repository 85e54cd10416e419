//! Expensive renderings take turns: at most half of the workers are busy with them, and the others go on.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::api::http::error::ApiError;

/// The longest wait for a turn: hundreds of expensive renderings take less, and clients wait longer.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Turns of expensive renderings. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    turns: Arc<Semaphore>,
    max_wait: Duration,
}

/// The right to render a subscription: a turn, or none if the work is cheap.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Self { turns: Arc::new(Semaphore::new((workers / 2).max(1))), max_wait: MAX_WAIT }
    }
}

impl Turns {
    /// Waits for a turn, in the order of the requests, if the work is expensive. An error after five seconds.
    pub(in crate::api) async fn take(&self, is_expensive: bool) -> Result<Turn, ApiError> {
        if !is_expensive {
            return Ok(Turn { _permit: None });
        }
        // The semaphore is never closed.
        match timeout(self.max_wait, self.turns.clone().acquire_owned()).await {
            Ok(permit) => Ok(Turn { _permit: permit.ok() }),
            Err(_) => Err(ApiError::unavailable("Too many large subscriptions at once, try again")),
        }
    }
}

#[cfg(test)]
mod tests {
    use poem::error::ResponseError as _;

    use super::*;

    #[tokio::test]
    async fn expensive_rendering_without_a_turn_is_refused_after_the_wait_and_a_cheap_one_waits_for_nobody() {
        let turns = Turns { turns: Arc::new(Semaphore::new(1)), max_wait: Duration::from_millis(10) };
        let turn = turns.take(true).await.expect("the turn");
        assert_eq!(turns.turns.available_permits(), 0);
        let refused = turns.take(true).await.expect_err("no turn").as_response();
        assert_eq!((refused.status().as_u16(), refused.header("retry-after")), (503, Some("1")));
        assert!(turns.take(false).await.is_ok(), "no turn needed");
        drop(turn);
        assert!(turns.take(true).await.is_ok());
    }
}
