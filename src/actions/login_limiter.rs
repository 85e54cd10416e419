//! How many wrong passwords a minute may bring, from one address and for one name.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

use crate::domain::moment::{BootTime, SECOND};

const MINUTE: i64 = 60 * SECOND;

/// Counts wrong passwords in the memory of this process.
#[derive(Debug)]
pub struct LoginLimiter {
    per_minute: u32,
    windows: Mutex<HashMap<Subject, Window>>,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An address; of IPv6 the network of 64 bits, which is what one customer gets.
    Address(IpAddr),
    /// A name, by its hash, so that long names take no more memory than short ones.
    Name(u128),
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_at: i64,
    attempts: u32,
}

/// An attempt that was let through. It counts as wrong until it says that it was right.
#[must_use = "an attempt that is not told right counts as wrong"]
#[derive(Debug)]
pub struct Attempt<'a> {
    limiter: &'a LoginLimiter,
    subjects: Vec<Subject>,
}

/// Too many wrong passwords: try again after so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Seconds, at least 1.
    pub retry_after: u32,
}

impl Subject {
    /// The subject of an address.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        })
    }

    /// The subject of a name.
    pub fn name(name: &str) -> Self {
        Self::Name(xxh3_128(name.as_bytes()))
    }
}

impl LoginLimiter {
    /// With a limit per minute; 0: none.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, windows: Mutex::default() }
    }

    /// Lets an attempt through, if none of its subjects has used up its minute. It is counted at once, so that many at
    /// the same time gain nothing.
    pub fn begin(&self, subjects: Vec<Subject>, now: BootTime) -> Result<Attempt<'_>, TooMany> {
        if self.per_minute == 0 {
            return Ok(Attempt { limiter: self, subjects: Vec::new() });
        }
        let now = now.micros();
        let mut windows = self.windows();
        if windows.len() > 1024 {
            windows.retain(|_, window| window.ends_at > now);
        }
        let full = subjects
            .iter()
            .filter_map(|subject| windows.get(subject))
            .filter(|window| window.ends_at > now && window.attempts >= self.per_minute);
        if let Some(last) = full.map(|window| window.ends_at).max() {
            let seconds = u32::try_from((last - now) / SECOND).unwrap_or(60);
            return Err(TooMany { retry_after: seconds + 1 });
        }
        for subject in &subjects {
            let window = windows.entry(*subject).or_insert(Window { ends_at: 0, attempts: 0 });
            if window.ends_at <= now {
                *window = Window { ends_at: now + MINUTE, attempts: 0 };
            }
            window.attempts += 1;
        }
        Ok(Attempt { limiter: self, subjects })
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<Subject, Window>> {
        // A panic elsewhere leaves nothing half done here.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The password was right: the attempt does not count.
    pub fn was_right(self) {
        let mut windows = self.limiter.windows();
        for subject in &self.subjects {
            if let Some(window) = windows.get_mut(subject) {
                window.attempts = window.attempts.saturating_sub(1);
            }
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

    #[test]
    fn a_minute_of_wrong_passwords_is_enough() {
        let limiter = LoginLimiter::new(2);
        for _ in 0..2 {
            let _wrong = limiter.begin(subjects(), at(100)).expect("let through");
        }
        assert_eq!(limiter.begin(subjects(), at(110)).expect_err("full"), TooMany { retry_after: 51 });
        limiter.begin(vec![Subject::name("root")], at(110)).expect_err("the name is full by itself");
        let _other = limiter.begin(vec![Subject::name("alice")], at(110)).expect("another name");
        let _later = limiter.begin(subjects(), at(160)).expect("a new minute");
    }

    #[test]
    fn right_passwords_do_not_count() {
        let limiter = LoginLimiter::new(1);
        for _ in 0..5 {
            limiter.begin(subjects(), at(1)).expect("let through").was_right();
        }
        let _wrong = limiter.begin(subjects(), at(1)).expect("let through");
        limiter.begin(subjects(), at(1)).expect_err("full");
    }

    #[test]
    fn zero_is_no_limit_and_a_customer_is_one_network() {
        let limiter = LoginLimiter::new(0);
        for _ in 0..100 {
            let _wrong = limiter.begin(subjects(), at(1)).expect("no limit");
        }
        let subject = |text: &str| Subject::address(text.parse().expect("an address"));
        assert_eq!(subject("2001:db8::1"), subject("2001:db8::ffff:1"));
        assert_ne!(subject("2001:db8::1"), subject("2001:db8:0:1::1"));
    }
}
