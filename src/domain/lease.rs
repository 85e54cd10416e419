//! The numbers of the lease, all derived from its TTL, and the inequality that keeps them safe.

use super::moment::{BootTime, SECOND};

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
        if ttl < 2 * SECOND {
            return Err("LEASE_TTL_SECONDS must be at least 2".to_owned());
        }
        if timing.renew <= 0 {
            return Err("LEASE_RENEW_SECONDS must be more than 0".to_owned());
        }
        // TTL(1−ρ) − G ≥ 3R + operation time-out: three renewals fit before the local deadline.
        if timing.trusted() < 3 * timing.renew + timing.operation() {
            let most = (timing.trusted() - timing.operation()) / 3;
            return Err(format!(
                "LEASE_RENEW_SECONDS is too long for LEASE_TTL_SECONDS: at most {:.2} seconds for a TTL of {:.0}",
                most as f64 / SECOND as f64,
                ttl as f64 / SECOND as f64
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
        assert!(error.contains("at most 2.20 seconds"), "{error}");
        assert!(LeaseTiming::new(10 * SECOND, Some(2_200_000)).is_ok());
        assert!(LeaseTiming::new(SECOND, None).is_err());
        assert!(LeaseTiming::new(10 * SECOND, Some(0)).is_err());
    }
}
