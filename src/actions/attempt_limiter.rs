//! Limits failed attempts per minute, by address and by name: wrong passwords, wrong links of subscriptions.
//!
//! Each process counts in memory, and all hosts count together in Redis if it is configured. Memory is asked first, so that
//! an attack on one host costs the others nothing, and the counts of this process remain when Redis goes away.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128;

use crate::cluster::shared_counters::{Counted, SharedCounters};
use crate::domain::moment::{BootTime, SECOND};
use crate::foundation::lock;

const MINUTE: i64 = 60 * SECOND;
/// Up to as many windows, those that are over stay.
const FEW: usize = 1024;

/// Counts one kind of failed attempts.
#[derive(Debug)]
pub struct AttemptLimiter {
    /// The kind of attempt, as a part of the names in Redis.
    kind: &'static str,
    per_minute: u32,
    windows: Mutex<Windows>,
    shared: Option<Arc<SharedCounters>>,
}

/// The subject of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The network of an address.
    Address(IpAddr),
    /// A name, by its hash, so that long names take no more memory than short ones.
    Name(u128),
    /// A name, by its hash, for clients on the panel's own machine.
    LocalName(u128),
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_at: i64,
    attempts: u32,
}

/// The windows of the last minute, and some that are over.
#[derive(Debug)]
struct Windows {
    by_subject: HashMap<Subject, Window>,
    /// With more windows than this, those that are over are removed. Twice as many as were left the last time: a flood from many
    /// addresses costs each attempt the same, however many windows there are.
    most: usize,
}

/// An attempt that was let through. It counts as failed until it says that it was right.
#[must_use = "an attempt that is not told right counts as failed"]
#[derive(Debug)]
pub struct Attempt<'a> {
    limiter: &'a AttemptLimiter,
    subjects: Vec<Subject>,
    /// Redis has counted it too.
    shared: bool,
}

/// Too many failed attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Seconds until the next attempt is allowed, at least 1.
    pub retry_after: u32,
}

impl Subject {
    /// The subject of an address.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(network(address))
    }

    /// The subject of a name.
    pub fn name(name: &str) -> Self {
        Self::Name(xxh3_128(name.as_bytes()))
    }

    /// The subject of a name, for clients on the panel's own machine.
    pub fn local_name(name: &str) -> Self {
        Self::LocalName(xxh3_128(name.as_bytes()))
    }

    /// The subject's name in Redis.
    pub(super) fn shared_name(&self, kind: &str) -> String {
        match self {
            Self::Address(address) => format!("{kind}:{address}"),
            Self::Name(hash) => format!("{kind}:name:{hash:032x}"),
            Self::LocalName(hash) => format!("{kind}:local:{hash:032x}"),
        }
    }
}

/// The network of an address: for IPv6 the /64 network, which is the usual size of one customer's.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

impl AttemptLimiter {
    /// A limiter with a limit per minute (0: none), counted by all hosts together if Redis is configured.
    pub fn new(kind: &'static str, per_minute: u32, shared: Option<Arc<SharedCounters>>) -> Self {
        Self { kind, per_minute, windows: Mutex::new(Windows { by_subject: HashMap::new(), most: FEW }), shared }
    }

    /// Allows an attempt unless one of its subjects has reached its limit for this minute. It is counted at once, so that
    /// simultaneous attempts gain nothing.
    pub async fn begin(&self, subjects: Vec<Subject>, now: BootTime) -> Result<Attempt<'_>, TooMany> {
        if self.per_minute == 0 {
            return Ok(Attempt { limiter: self, subjects: Vec::new(), shared: false });
        }
        self.windows().count(&subjects, self.per_minute, now.micros())?;
        let counted = match &self.shared {
            Some(shared) => shared.count(&self.shared_names(&subjects), self.per_minute, Duration::from_secs(60)).await,
            None => None,
        };
        if let Some(Counted::Full(wait)) = counted {
            self.take_back_here(&subjects);
            return Err(TooMany { retry_after: u32::try_from(wait.as_secs()).unwrap_or(59) + 1 });
        }
        Ok(Attempt { limiter: self, subjects, shared: counted.is_some() })
    }

    /// Refuses what this process alone knows to be too much, without counting it and without asking Redis.
    pub(super) fn check_here(&self, subjects: &[Subject], now: BootTime) -> Result<(), TooMany> {
        if self.per_minute == 0 { Ok(()) } else { self.windows().check(subjects, self.per_minute, now.micros()) }
    }

    fn take_back_here(&self, subjects: &[Subject]) {
        let mut windows = self.windows();
        for subject in subjects {
            if let Some(window) = windows.by_subject.get_mut(subject) {
                window.attempts = window.attempts.saturating_sub(1);
            }
        }
    }

    fn shared_names(&self, subjects: &[Subject]) -> Vec<String> {
        subjects.iter().map(|subject| subject.shared_name(self.kind)).collect()
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        lock(&self.windows)
    }
}

impl Windows {
    fn check(&self, subjects: &[Subject], per_minute: u32, now: i64) -> Result<(), TooMany> {
        let full = subjects
            .iter()
            .filter_map(|subject| self.by_subject.get(subject))
            .filter(|window| window.ends_at > now && window.attempts >= per_minute);
        match full.map(|window| window.ends_at).max() {
            Some(last) => Err(TooMany { retry_after: u32::try_from((last - now) / SECOND).unwrap_or(60) + 1 }),
            None => Ok(()),
        }
    }

    fn count(&mut self, subjects: &[Subject], per_minute: u32, now: i64) -> Result<(), TooMany> {
        if self.by_subject.len() > self.most {
            self.by_subject.retain(|_, window| window.ends_at > now);
            self.most = FEW.max(2 * self.by_subject.len());
        }
        self.check(subjects, per_minute, now)?;
        for subject in subjects {
            let window = self.by_subject.entry(*subject).or_insert(Window { ends_at: 0, attempts: 0 });
            if window.ends_at <= now {
                *window = Window { ends_at: now + MINUTE, attempts: 0 };
            }
            window.attempts += 1;
        }
        Ok(())
    }
}

impl Attempt<'_> {
    /// The attempt succeeded and does not count.
    pub async fn was_right(self) {
        self.limiter.take_back_here(&self.subjects);
        if let Some(shared) = self.limiter.shared.as_ref().filter(|_| self.shared) {
            shared.take_back(&self.limiter.shared_names(&self.subjects)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> BootTime {
        BootTime::from_micros(seconds * SECOND)
    }

    fn subjects() -> Vec<Subject> {
        vec![Subject::address([9, 9, 9, 9].into()), Subject::name("root")]
    }

    #[tokio::test]
    async fn a_minute_of_failures_is_enough() {
        let limiter = AttemptLimiter::new("password", 2, None);
        for _ in 0..2 {
            let _wrong = limiter.begin(subjects(), at(100)).await.expect("let through");
        }
        assert_eq!(limiter.begin(subjects(), at(110)).await.expect_err("full"), TooMany { retry_after: 51 });
        limiter.begin(vec![Subject::name("root")], at(110)).await.expect_err("the name is full by itself");
        let _other = limiter.begin(vec![Subject::name("alice")], at(110)).await.expect("another name");
        let _later = limiter.begin(subjects(), at(160)).await.expect("a new minute");
    }

    #[tokio::test]
    async fn what_is_right_does_not_count() {
        let limiter = AttemptLimiter::new("password", 1, None);
        for _ in 0..5 {
            limiter.begin(subjects(), at(1)).await.expect("let through").was_right().await;
        }
        let _wrong = limiter.begin(subjects(), at(1)).await.expect("let through");
        limiter.begin(subjects(), at(1)).await.expect_err("full");
    }

    #[tokio::test]
    async fn windows_that_are_over_are_removed_ever_more_rarely_in_a_flood() {
        let limiter = AttemptLimiter::new("password", 2, None);
        let mut sweeps = Vec::new();
        for n in 0..10_000_u32 {
            let before = limiter.windows().most;
            let _wrong = limiter.begin(vec![Subject::address(IpAddr::from(n.to_be_bytes()))], at(100)).await;
            let after = limiter.windows().most;
            sweeps.extend((after != before).then_some(after));
        }
        assert_eq!(sweeps, [2_050, 4_102, 8_206, 16_414]);
        for n in 10_000..20_000_u32 {
            let _later = limiter.begin(vec![Subject::address(IpAddr::from(n.to_be_bytes()))], at(160)).await;
        }
        assert_eq!(limiter.windows().by_subject.len(), 10_000, "those of the minute before are gone");
    }

    #[tokio::test]
    async fn zero_is_no_limit_and_a_customer_is_one_network() {
        let limiter = AttemptLimiter::new("password", 0, None);
        for _ in 0..100 {
            let _wrong = limiter.begin(subjects(), at(1)).await.expect("no limit");
        }
        let subject = |text: &str| Subject::address(text.parse().expect("an address"));
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:1"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
    }
}
