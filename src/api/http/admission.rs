//! How many requests are worked on at once. Beyond that they wait for a place, and those that wait too long are refused:
//! under more load than there is capacity, a panel answers as much as it can instead of everything too late.

use std::time::Duration;

use poem::Request;
use poem::http::Method;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::error::ApiError;

/// Longer than the longest line that still gets through in time, shorter than a client's patience.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A request that only reads has come to its end by then; one that changes a hundred thousand users may take longer.
const READING: Duration = Duration::from_secs(60);
const CHANGING: Duration = Duration::from_secs(600);

/// The places.
#[derive(Debug)]
pub struct Admission {
    places: Semaphore,
    longest_wait: Duration,
}

/// What a request may do.
#[derive(Debug)]
pub(in crate::api) struct Admitted<'a> {
    /// Its place, if it needs one.
    _place: Option<SemaphorePermit<'a>>,
    /// How long it may take.
    pub(in crate::api) time: Duration,
}

impl Admission {
    /// So many requests at once.
    pub fn new(at_once: usize) -> Self {
        Self { places: Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)), longest_wait: LONGEST_WAIT }
    }

    /// Waits for a place, in the order in which requests came.
    pub(in crate::api) async fn admit(&self, request: &Request) -> Result<Admitted<'_>, ApiError> {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        let time = if reads { READING } else { CHANGING };
        if is_exempt(request.uri().path()) {
            return Ok(Admitted { _place: None, time });
        }
        let place = match self.places.try_acquire() {
            Ok(place) => Ok(place),
            Err(_) => match timeout(self.longest_wait, self.places.acquire()).await {
                Ok(place) => place.map_err(drop),
                Err(_) => Err(()),
            },
        };
        match place {
            Ok(place) => Ok(Admitted { _place: Some(place), time }),
            Err(()) => {
                metrics::counter!("http_requests_shed_total").increment(1);
                Err(ApiError::unavailable("The panel has more requests than it can answer, try again"))
            }
        }
    }
}

/// What must be answered when nothing else is: how the panel is. And what takes no capacity, however long it takes: a
/// request that waits for a node, and signing in, which waits for its turn to compute a hash. (It is also the only
/// route where somebody unknown may send a body, as slowly as a place could be held with.)
fn is_exempt(path: &str) -> bool {
    path.starts_with("/health/")
        || path == "/metrics"
        || path == "/api/admins/token"
        || path.strip_prefix("/api/nodes/").is_some_and(|rest| rest.matches('/').count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Request {
        Request::builder().uri_str(path).finish()
    }

    #[tokio::test]
    async fn who_waits_too_long_is_refused_and_who_needs_no_place_is_not() {
        let admission = Admission { longest_wait: Duration::from_millis(10), ..Admission::new(1) };
        let _first = admission.admit(&get("/api/users")).await.expect("a place");
        let refused = admission.admit(&get("/api/users")).await.expect_err("no place");
        assert_eq!(refused.status().as_u16(), 503);
        assert_eq!(refused.to_response().header("retry-after"), Some("1"));
        admission.admit(&get("/health/live")).await.expect("no place is needed");
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_that_becomes_free() {
        let admission = Admission { longest_wait: Duration::from_secs(60), ..Admission::new(1) };
        let users = get("/api/users");
        let first = admission.admit(&users).await.expect("a place");
        let (second, ()) = tokio::join!(admission.admit(&users), async { drop(first) });
        second.expect("the place of the first");
    }

    #[test]
    fn what_needs_no_place() {
        for path in
            ["/health/ready", "/metrics", "/api/admins/token", "/api/nodes/7/xray/logs", "/api/nodes/7/xray/stats"]
        {
            assert!(is_exempt(path), "{path}");
        }
        for path in ["/sub/a/b", "/api/users", "/api/nodes", "/api/nodes/7", "/api/nodes/7/usage", "/api/admins"] {
            assert!(!is_exempt(path), "{path}");
        }
    }
}
