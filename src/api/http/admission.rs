//! Admission control: limits how many requests run at once.
//!
//! Further requests wait for a permit in order of arrival, and are refused with 503 if that takes too long, so that an
//! overloaded panel still serves as many requests as it can. Routes that need no permit say so: `Methods::without_permit`.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::error::ApiError;

/// Long enough for a burst of requests to drain, and shorter than clients wait.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The permits.
#[derive(Debug)]
pub struct Admission {
    permits: Semaphore,
    max_wait: Duration,
}

/// Marks the error of a request that was refused before its handler ran.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct NotStarted;

impl Admission {
    /// Allows `at_once` concurrent requests, at least one.
    pub fn new(at_once: usize) -> Self {
        Self { permits: Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)), max_wait: MAX_WAIT }
    }

    /// Waits for a permit. Permits are given in the order of the calls.
    pub(in crate::api) async fn admit(&self) -> poem::Result<SemaphorePermit<'_>> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        if let Ok(Ok(permit)) = timeout(self.max_wait, self.permits.acquire()).await {
            return Ok(permit);
        }
        metrics::counter!("http_requests_shed_total").increment(1);
        let mut error = poem::Error::from(ApiError::unavailable("The panel is overloaded, try again"));
        error.set_data(NotStarted);
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn request_without_a_permit_is_refused_after_the_wait() {
        let admission = Admission { max_wait: Duration::from_millis(10), ..Admission::new(1) };
        let _first = admission.admit().await.expect("a permit");
        let refused = admission.admit().await.expect_err("no permit");
        assert!(refused.data::<NotStarted>().is_some());
        assert_eq!(refused.status().as_u16(), 503);
        assert_eq!(refused.into_response().header("retry-after"), Some("1"));
    }

    #[tokio::test]
    async fn waiting_request_gets_the_permit_that_becomes_free() {
        let admission = Admission { max_wait: Duration::from_secs(60), ..Admission::new(1) };
        let first = admission.admit().await.expect("a permit");
        let (second, ()) = tokio::join!(admission.admit(), async { drop(first) });
        assert!(second.is_ok(), "the permit of the first request");
    }
}
