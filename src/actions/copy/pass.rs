//! A walk of the follower through all users, and what it finds wrong.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::copy::Update;

/// Time after which a copy that begins again does so at once.
const STEADY: Duration = Duration::from_secs(600);
/// Pause after the second time in a row, and the longest one: each one is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After so many times in a row it is logged that something is wrong, and then after as many more.
const TOO_OFTEN: u32 = 4;

/// How often a copy had to begin again: a source that is two servers makes it do so for ever.
#[derive(Debug, Default)]
pub(super) struct Begins {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Begins {
    pub(super) fn may_begin(&self, now: Instant) -> bool {
        let pause = match self.in_a_row {
            0 | 1 => Duration::ZERO,
            times => FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(times - 2)).min(LONGEST_PAUSE),
        };
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    /// Counts one. Returns their number if something must be wrong.
    pub(super) fn begun(&mut self, now: Instant) -> Option<u32> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) >= STEADY) {
            self.in_a_row = 0;
        }
        (self.in_a_row, self.last) = (self.in_a_row.saturating_add(1), Some(now));
        self.in_a_row.is_multiple_of(TOO_OFTEN).then_some(self.in_a_row)
    }
}

/// A walk through all users.
#[derive(Debug)]
pub(super) struct Pass {
    /// The last user so far.
    pub(super) after: i64,
    pub(super) is_first: bool,
    /// Users that differed in what the log has: their changes must come with the next update, or the copy was wrong.
    pub(super) suspects: Vec<i64>,
    pub(super) began: Instant,
    pub(super) next_page: Instant,
}

impl Pass {
    /// A walk from the first user on.
    pub(super) fn new(is_first: bool) -> Self {
        Self { after: i64::MIN, is_first, suspects: Vec::new(), began: Instant::now(), next_page: Instant::now() }
    }

    /// Compares the users that differed with the changes that came since.
    pub(super) fn settle(&mut self, update: &Update) {
        if self.suspects.is_empty() {
            return;
        }
        let is_in = |id: &i64| {
            update.users.binary_search_by_key(id, |user| user.id).is_ok() || update.gone.binary_search(id).is_ok()
        };
        self.suspects.retain(|id| !is_in(id));
        if update.has_more {
            return;
        }
        let wrong = std::mem::take(&mut self.suspects);
        if let Some(first) = wrong.first() {
            metrics::counter!("subscription_copy_repairs_total").increment(wrong.len() as u64);
            tracing::warn!(
                users = wrong.len(),
                first,
                "users of the local copy of subscriptions differed from the database; repaired"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_that_begins_again_and_again_does_so_ever_more_rarely_and_says_so() {
        let (mut begins, mut now) = (Begins::default(), Instant::now());
        let (mut pauses, mut said) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let began = now;
            while !begins.may_begin(now) {
                now += Duration::from_millis(500);
            }
            pauses.push((now - began).as_secs());
            said.extend(begins.begun(now));
        }
        assert_eq!(pauses, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(said, [4, 8]);
        now += STEADY;
        assert_eq!((begins.may_begin(now), begins.begun(now)), (true, None));
        assert!(begins.may_begin(now), "a second time at once");
    }
}
