//! Receiving request bodies, before a request gets its permit: up to a size, at a minimum rate, within the memory for
//! bodies.

use std::time::Duration;

use futures_util::StreamExt;
use poem::Body;
use poem::http::{HeaderMap, StatusCode, header};
use tokio::time::{Instant, timeout_at};

use super::byte_budget::Reservation;
use super::caller::Rank;
use super::error::ApiError;

/// Size of the body of a sign-in, in bytes. Nobody else sends a body before signing in.
pub const BEFORE_SIGN_IN: usize = 16 << 10;
/// Size of most bodies, in bytes: a list of ten thousand ids fits several times.
pub const USUAL: usize = 256 << 10;
/// Size of the largest bodies, in bytes: configurations of engines, which only admins who may change nodes send.
pub const LARGE: usize = 4 << 20;

/// Time for the first bytes, over the slowest line.
const GRACE: Duration = Duration::from_secs(10);
/// Bytes a second, on average after the grace.
const MIN_RATE: u32 = 16 << 10;

/// The minimum rate of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    grace: Duration,
    bytes_per_second: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { grace: GRACE, bytes_per_second: MIN_RATE }
    }
}

impl Pace {
    /// Returns the longest time after which a client must have sent more than `received` bytes.
    fn allowed(self, received: usize) -> Duration {
        self.grace + Duration::from_secs_f64(received as f64 / f64::from(self.bytes_per_second))
    }
}

/// The reason why a body was not received. The extractor that reads the body answers with it, after the rights of the
/// caller have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotReceived {
    /// It is larger than this number of bytes.
    TooLarge(usize),
    /// The client sends too slowly.
    TooSlow,
    /// The client closed the connection.
    Closed,
    /// Other requests have all the memory for bodies.
    Busy,
    /// The caller has not signed in.
    NotSignedIn,
}

/// Returns the size of the body that a caller may send to a route with this limit; `None` if it may send none.
pub(super) fn limit(route: usize, before_sign_in: bool, rank: Rank) -> Option<usize> {
    match rank {
        Rank::Stranger => before_sign_in.then_some(route.min(BEFORE_SIGN_IN)),
        Rank::Admin => Some(route.min(USUAL)),
        Rank::Configurer => Some(route),
    }
}

/// Receives a body of at most `limit` bytes.
pub(super) async fn receive(
    body: Body,
    headers: &HeaderMap,
    limit: usize,
    memory: &mut Reservation<'_>,
    pace: Pace,
) -> Result<Vec<u8>, NotReceived> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(NotReceived::TooLarge(limit));
    }
    let mut started = Instant::now();
    let mut bytes = Vec::new();
    let mut chunks = body.into_bytes_stream();
    loop {
        let chunk = match timeout_at(started + pace.allowed(bytes.len()), chunks.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(_))) => return Err(NotReceived::Closed),
            Ok(None) => return Ok(bytes),
            Err(_) => return Err(NotReceived::TooSlow),
        };
        let length = bytes.len() + chunk.len();
        if length > limit {
            return Err(NotReceived::TooLarge(limit));
        }
        let waiting = Instant::now();
        memory.reach(to_reserve(length, declared, limit)).await.map_err(|_| NotReceived::Busy)?;
        // The client is not slow meanwhile.
        started += waiting.elapsed();
        if length > bytes.capacity() {
            // By a quarter, not by half: what is reserved above is what the body takes.
            let room = declared.unwrap_or(limit).min(bytes.capacity() / 4 * 5).max(length);
            bytes.reserve_exact(room - bytes.len());
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// Returns the bytes to reserve for a body of which `received` bytes have arrived. A large body gets all of its memory at
/// once: large bodies that grow side by side would each hold a part, and wait until all of them are refused.
fn to_reserve(received: usize, declared: Option<usize>, limit: usize) -> usize {
    if received <= BEFORE_SIGN_IN { received } else { declared.unwrap_or(limit).max(received) }
}

impl From<NotReceived> for ApiError {
    fn from(reason: NotReceived) -> Self {
        match reason {
            NotReceived::TooLarge(limit) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("The body is larger than {} KiB", limit >> 10))
            }
            NotReceived::TooSlow => Self::new(StatusCode::REQUEST_TIMEOUT, "The body arrived too slowly"),
            NotReceived::Closed => Self::bad_request("The connection closed before the end of the body"),
            NotReceived::Busy => Self::unavailable("Too many large requests at once, try again"),
            NotReceived::NotSignedIn => Self::unauthorized("Sign in first"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::http::byte_budget::BodyMemory;
    use crate::api::http::caller::Caller;

    async fn received(body: Body, headers: &HeaderMap, pace: Pace) -> Result<Vec<u8>, NotReceived> {
        let memory = BodyMemory::default();
        let mut reservation = memory.reservation(&Caller::admin("ann", false));
        receive(body, headers, 1_000, &mut reservation, pace).await
    }

    #[test]
    fn strangers_may_send_only_a_sign_in_and_admins_no_large_body() {
        for (route, before_sign_in, rank, expected) in [
            (USUAL, true, Rank::Stranger, Some(BEFORE_SIGN_IN)),
            (LARGE, false, Rank::Stranger, None),
            (LARGE, false, Rank::Admin, Some(USUAL)),
            (LARGE, false, Rank::Configurer, Some(LARGE)),
            (BEFORE_SIGN_IN, true, Rank::Configurer, Some(BEFORE_SIGN_IN)),
        ] {
            assert_eq!(limit(route, before_sign_in, rank), expected, "{route} {before_sign_in} {rank:?}");
        }
    }

    #[tokio::test]
    async fn body_up_to_the_limit_is_received_and_a_larger_one_refused() {
        let none = HeaderMap::new();
        let exact = received(Body::from_vec(vec![b'x'; 1_000]), &none, Pace::default()).await;
        assert_eq!(exact.map(|bytes| bytes.len()), Ok(1_000));
        let larger = received(Body::from_vec(vec![b'x'; 1_001]), &none, Pace::default()).await;
        assert_eq!(larger, Err(NotReceived::TooLarge(1_000)));
    }

    #[tokio::test]
    async fn declared_size_above_the_limit_is_refused_before_any_byte_arrives() {
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, 1_001.into())]);
        let never = Body::from_bytes_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
        assert_eq!(received(never, &headers, Pace::default()).await, Err(NotReceived::TooLarge(1_000)));
    }

    #[tokio::test]
    async fn body_that_arrives_too_slowly_is_refused() {
        let never = Body::from_bytes_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
        let pace = Pace { grace: Duration::from_millis(10), bytes_per_second: 1_000_000 };
        assert_eq!(received(never, &HeaderMap::new(), pace).await, Err(NotReceived::TooSlow));
        let drip = futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Some((std::io::Result::Ok(vec![b'x']), ()))
        });
        let drip = Body::from_bytes_stream(Box::pin(drip));
        assert_eq!(received(drip, &HeaderMap::new(), pace).await, Err(NotReceived::TooSlow));
    }

    #[tokio::test]
    async fn of_large_bodies_side_by_side_as_many_are_received_as_fit() {
        let memory = BodyMemory::default();
        for declared in [true, false] {
            let headers = HeaderMap::from_iter(declared.then(|| (header::CONTENT_LENGTH, LARGE.into())));
            let bodies = (0..30).map(async |_| {
                let chunks = futures_util::stream::iter(0..LARGE / (64 << 10)).then(async |_| {
                    tokio::task::yield_now().await;
                    std::io::Result::Ok(vec![b'x'; 64 << 10])
                });
                let body = Body::from_bytes_stream(Box::pin(chunks));
                let mut reservation = memory.reservation(&Caller::admin("eve", true));
                let received = receive(body, &headers, LARGE, &mut reservation, Pace::default()).await;
                // Others arrive while this one is worked on.
                tokio::time::sleep(Duration::from_millis(10)).await;
                received.is_ok()
            });
            let received = futures_util::future::join_all(bodies).await.into_iter().filter(|ok| *ok).count();
            assert!(received >= 3, "{received}, declared: {declared}");
        }
    }

    #[test]
    fn steady_client_at_the_minimum_rate_never_misses_the_deadline() {
        let pace = Pace { grace: Duration::from_secs(10), bytes_per_second: 16 << 10 };
        for seconds in [0_u32, 1, 60, 256] {
            let received = (seconds * (16 << 10)) as usize;
            assert!(pace.allowed(received) > Duration::from_secs(u64::from(seconds)));
        }
    }
}
