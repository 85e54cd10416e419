//! The numbers of the lease, all derived from its TTL, and the inequality that keeps them safe.

use super::moment::{BootTime, SECOND};

/// A shorter TTL leaves no room for a disk that stalls.
const SHORTEST_TTL: i64 = 2 * SECOND;
/// A longer one would leave the panel without a leader for as long after a crash.
const LONGEST_TTL: i64 = 3_600 * SECOND;
/// More renewals would be a load of their own.
const SHORTEST_RENEW: i64 = SECOND / 20;

/// How long things may take around a lease (microseconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTiming {
    /// For how long a renewal counts in the database.
    pub ttl: i64,
    /// R: how often it is renewed.
    pub renew: i64,
}

impl LeaseTiming {
    /// `renew` defaults to TTL/5. Refuses numbers with which a renewal that fails twice could come too late.
    pub fn new(ttl: i64, renew: Option<i64>) -> Result<Self, String> {
        let timing = Self { ttl, renew: renew.unwrap_or(ttl / 5) };
        if !(SHORTEST_TTL..=LONGEST_TTL).contains(&ttl) {
            return Err(format!(
                "LEASE_TTL_SECONDS must be from {} to {}; it has {}",
                SHORTEST_TTL / SECOND,
                LONGEST_TTL / SECOND,
                seconds(ttl)
            ));
        }
        // TTL(1−ρ) − G ≥ 3R + operation time-out: three renewals fit before the local deadline.
        let most = (timing.trusted() - timing.operation()) / 3;
        if !(SHORTEST_RENEW..=most).contains(&timing.renew) {
            return Err(format!(
                "LEASE_RENEW_SECONDS must be from {} to {} while LEASE_TTL_SECONDS is {}, so that three renewals fit \
                 into the time for which a lease is trusted; it has {}",
                seconds(SHORTEST_RENEW),
                seconds(most),
                seconds(ttl),
                seconds(timing.renew)
            ));
        }
        Ok(timing)
    }

    /// The local deadline after a renewal that was sent at `sent`: TTL·(1−ρ) − G later, with ρ = 1 % for clocks that
    /// drift apart and G = TTL/4 for whatever is still under way.
    pub const fn deadline(self, sent: BootTime) -> BootTime {
        BootTime::from_micros(sent.micros() + self.trusted())
    }

    /// How long one operation on the lease may take: 0.08·TTL on PostgreSQL.
    pub const fn operation(self) -> i64 {
        self.ttl * 8 / 100
    }

    /// The same on SQLite, where a writer may have to wait for another process: TTL/5.
    pub const fn operation_sqlite(self) -> i64 {
        self.ttl / 5
    }

    /// How long a statement of a task, or a pause inside its transaction, may take: TTL/5.
    pub const fn statement(self) -> i64 {
        self.ttl / 5
    }

    /// How long the scheduler's loop may be silent before the lease is given up: 0.3·TTL.
    pub const fn silence(self) -> i64 {
        self.ttl * 3 / 10
    }

    const fn trusted(self) -> i64 {
        self.ttl - self.ttl / 100 - self.ttl / 4
    }
}

/// Seconds as people write them.
fn seconds(micros: i64) -> f64 {
    micros as f64 / SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_safe() {
        let timing = LeaseTiming::new(10 * SECOND, None).expect("the default");
        assert_eq!(timing.renew, 2 * SECOND);
        assert_eq!(timing.deadline(BootTime::from_micros(0)).micros(), 7_400_000);
        assert_eq!(3 * timing.renew + timing.operation(), 6_800_000);
        assert!(LeaseTiming::new(2 * SECOND, None).is_ok());
    }

    #[test]
    fn slow_renewals_are_refused_with_the_longest_that_would_do() {
        let error = LeaseTiming::new(10 * SECOND, Some(3 * SECOND)).expect_err("3R does not fit");
        assert!(
            error.starts_with("LEASE_RENEW_SECONDS must be from 0.05 to 2.2 while LEASE_TTL_SECONDS is 10,"),
            "{error}"
        );
        assert!(LeaseTiming::new(10 * SECOND, Some(2_200_000)).is_ok());
        assert!(LeaseTiming::new(10 * SECOND, Some(2_200_001)).is_err());
        assert!(LeaseTiming::new(10 * SECOND, Some(i64::MAX)).is_err());
        for ttl in [1_999_999, 0, -SECOND, 3_601 * SECOND, i64::MAX] {
            let error = LeaseTiming::new(ttl, Some(SECOND)).expect_err("not a TTL");
            assert!(error.starts_with("LEASE_TTL_SECONDS must be from 2 to 3600; it has"), "{error}");
        }
        assert!(LeaseTiming::new(10 * SECOND, Some(0)).is_err());
    }
}
