//! Admission control: limits how many requests run at once.
//!
//! Further requests wait for a permit in order of arrival, and are refused with 503 if that takes too long, so that an
//! overloaded panel still serves as many requests as it can. A quarter of the permits is only for the API, another quarter
//! only for subscriptions. One admin, and one address, has at most a quarter of all requests in progress, counted from the
//! first byte of a body. Routes that need no permit say so: `Methods::without_permit`.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::caller::Caller;
use super::error::ApiError;
use super::shares::{Share, Shares};

/// Long enough for a burst of requests to drain, and shorter than clients wait.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The permits.
#[derive(Debug)]
pub struct Admission {
    shared: Semaphore,
    api: Lane,
    subscriptions: Lane,
    max_wait: Duration,
}

/// A class of requests, with permits that no other class can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Class {
    /// The API and its pages.
    Api,
    /// Fetches of subscriptions.
    Subscription,
}

#[derive(Debug)]
struct Lane {
    reserved: Semaphore,
    requests: Shares,
}

/// Marks the error of a request that was refused before its handler ran.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct NotStarted;

impl Admission {
    /// Allows `at_once` concurrent requests, at least one.
    pub fn new(at_once: usize) -> Self {
        let at_once = at_once.clamp(1, Semaphore::MAX_PERMITS);
        let quarter = at_once / 4;
        let lane = || Lane { reserved: Semaphore::new(quarter), requests: Shares::of(quarter) };
        Self { shared: Semaphore::new(at_once - 2 * quarter), api: lane(), subscriptions: lane(), max_wait: MAX_WAIT }
    }

    /// Counts a request for its caller, until the returned shares are dropped. Waits while the caller has too many.
    pub(super) async fn enter(&self, class: Class, caller: &Caller) -> poem::Result<Vec<Share<'_>>> {
        let due = Instant::now() + self.max_wait;
        let mut entered = Vec::with_capacity(2);
        for subject in caller.subjects() {
            let mut share = self.lane(class).requests.share(subject);
            if timeout_at(due, share.take(1)).await.is_err() {
                return Err(overloaded("You have too many requests in progress, try again"));
            }
            entered.push(share);
        }
        Ok(entered)
    }

    /// Waits for a permit. Permits are given in the order of the calls.
    pub(in crate::api) async fn admit(&self, class: Class) -> poem::Result<SemaphorePermit<'_>> {
        let reserved = &self.lane(class).reserved;
        if let Ok(permit) = reserved.try_acquire().or_else(|_| self.shared.try_acquire()) {
            return Ok(permit);
        }
        let waiting = async {
            tokio::select! {
                permit = self.shared.acquire() => permit,
                permit = reserved.acquire() => permit,
            }
        };
        if let Ok(Ok(permit)) = timeout(self.max_wait, waiting).await {
            return Ok(permit);
        }
        Err(overloaded("The panel is overloaded, try again"))
    }

    const fn lane(&self, class: Class) -> &Lane {
        match class {
            Class::Api => &self.api,
            Class::Subscription => &self.subscriptions,
        }
    }
}

fn overloaded(text: &'static str) -> poem::Error {
    metrics::counter!("http_requests_shed_total").increment(1);
    let mut error = poem::Error::from(ApiError::unavailable(text));
    error.set_data(NotStarted);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn request_without_a_permit_is_refused_after_the_wait() {
        let admission = Admission { max_wait: Duration::from_millis(10), ..Admission::new(1) };
        let _first = admission.admit(Class::Api).await.expect("a permit");
        let refused = admission.admit(Class::Api).await.expect_err("no permit");
        assert!(refused.data::<NotStarted>().is_some());
        assert_eq!(refused.status().as_u16(), 503);
        assert_eq!(refused.into_response().header("retry-after"), Some("1"));
    }

    #[tokio::test]
    async fn waiting_request_gets_the_permit_that_becomes_free() {
        let admission = Admission { max_wait: Duration::from_secs(60), ..Admission::new(1) };
        let first = admission.admit(Class::Api).await.expect("a permit");
        let (second, ()) = tokio::join!(admission.admit(Class::Api), async { drop(first) });
        assert!(second.is_ok(), "the permit of the first request");
    }

    #[tokio::test]
    async fn each_class_has_permits_that_the_other_can_not_take() {
        for (flood, other) in [(Class::Api, Class::Subscription), (Class::Subscription, Class::Api)] {
            let admission = Admission { max_wait: Duration::from_millis(10), ..Admission::new(8) };
            let mut taken = Vec::new();
            while let Ok(permit) = admission.admit(flood).await {
                taken.push(permit);
            }
            assert_eq!(taken.len(), 6);
            let _both =
                (admission.admit(other).await.expect("a permit"), admission.admit(other).await.expect("a permit"));
            assert!(admission.admit(other).await.is_err(), "more than all permits");
        }
    }

    #[tokio::test]
    async fn caller_with_a_quarter_of_the_requests_is_refused_and_others_are_not() {
        let admission = Admission { max_wait: Duration::from_millis(10), ..Admission::new(8) };
        let (ann, ben) = (Caller::admin("ann", false), Caller::admin("ben", false));
        let first = admission.enter(Class::Api, &ann).await.expect("a share");
        let _second = admission.enter(Class::Api, &ann).await.expect("a share");
        let refused = admission.enter(Class::Api, &ann).await.expect_err("no share");
        assert_eq!(refused.status().as_u16(), 503);
        admission.enter(Class::Api, &ben).await.expect("another admin");
        admission.enter(Class::Subscription, &ann).await.expect("another class");
        drop(first);
        admission.enter(Class::Api, &ann).await.expect("a share again");
    }
}
