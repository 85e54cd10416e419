//! Shares: the part of a common amount that one caller may hold, so that a single admin or address can't take all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::actions::attempt_limiter::Subject;
use crate::foundation::lock;

/// The shares of all callers. An entry exists only while its caller holds or waits for something.
#[derive(Debug)]
pub(in crate::api) struct Shares {
    most: usize,
    held: Mutex<HashMap<Subject, Arc<Semaphore>>>,
}

/// The units of a caller's share that one request holds, until it is dropped.
#[derive(Debug)]
pub(in crate::api) struct Share<'a> {
    shares: &'a Shares,
    subject: Subject,
    /// `None` only while it is dropped.
    left: Option<Arc<Semaphore>>,
    taken: usize,
}

impl Shares {
    /// Shares of at most `most` units each, at least one.
    pub(in crate::api) fn of(most: usize) -> Self {
        Self { most: most.clamp(1, Semaphore::MAX_PERMITS), held: Mutex::default() }
    }

    /// Returns a share that holds nothing yet.
    pub(in crate::api) fn share(&self, subject: Subject) -> Share<'_> {
        let mut held = lock(&self.held);
        let left = held.entry(subject).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone();
        Share { shares: self, subject, left: Some(left), taken: 0 }
    }
}

impl Share<'_> {
    /// Takes that many units; waits while the caller's other requests hold too many.
    pub(in crate::api) async fn take(&mut self, units: u32) {
        // The semaphore is never closed. Its permits return when the share is dropped.
        if let Some(left) = &self.left
            && let Ok(permit) = left.acquire_many(units).await
        {
            permit.forget();
            self.taken += units as usize;
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut held = lock(&self.shares.held);
        if let Some(left) = &self.left {
            left.add_permits(self.taken);
        }
        // Dropped under the lock, so that of two shares that end at once the last one sees that it is the last.
        drop(self.left.take());
        if held.get(&self.subject).is_some_and(|left| Arc::strong_count(left) == 1) {
            held.remove(&self.subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_caller_gets_its_part_and_another_is_not_affected() {
        let shares = Shares::of(2);
        let (ann, ben) = (Subject::name("ann"), Subject::name("ben"));
        let mut first = shares.share(ann);
        assert!(first.take(2).now_or_never().is_some());
        let mut second = shares.share(ann);
        assert!(second.take(1).now_or_never().is_none(), "the part is used up");
        assert!(shares.share(ben).take(2).now_or_never().is_some());
        drop(first);
        assert!(second.take(1).now_or_never().is_some());
        drop(second);
        assert!(lock(&shares.held).is_empty(), "callers without requests are forgotten");
    }
}
