//! The durations around the leader's lease, all derived from its TTL, and the inequality that keeps them safe.

use super::moment::{BootTime, SECOND};

/// The shortest TTL: a shorter one would not survive a stalled disk.
const SHORTEST_TTL: i64 = 2 * SECOND;
/// The longest TTL: after a crash the panel has no leader for up to that time.
const LONGEST_TTL: i64 = 3_600 * SECOND;
/// The shortest renewal interval: more renewals would load the database.
const SHORTEST_RENEW: i64 = SECOND / 20;

/// The durations around a lease, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTiming {
    /// The time for which a renewal is valid in the database.
    pub ttl: i64,
    /// R: the renewal interval.
    pub renew: i64,
}

impl LeaseTiming {
    /// `renew` defaults to TTL/5. Refuses an interval with which the third renewal could come too late.
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

    /// The local deadline after a renewal that was sent at `sent`: TTL·(1−ρ) − G later, with ρ = 1 % for clock
    /// drift and G = TTL/4 for operations still under way.
    pub const fn deadline(self, sent: BootTime) -> BootTime {
        BootTime::from_micros(sent.micros() + self.trusted())
    }

    /// The time limit of one operation on the lease on PostgreSQL: 0.08·TTL.
    pub const fn operation(self) -> i64 {
        self.ttl * 8 / 100
    }

    /// The time limit of one operation on the lease on SQLite, where writers wait for each other: TTL/5.
    pub const fn operation_sqlite(self) -> i64 {
        self.ttl / 5
    }

    /// The time limit of opening a connection, which takes up to ten round trips. Several attempts fit into a TTL.
    pub fn connecting(self) -> i64 {
        (self.ttl * 4 / 10).max(2 * SECOND)
    }

    /// The longest supported round trip to PostgreSQL: 0.04·TTL. A renewal is one round trip; the other half of its
    /// time limit is for delays.
    pub const fn supported_round_trip(self) -> i64 {
        self.operation() / 2
    }

    /// The time limit of a task's statement and of a pause within its transaction: TTL/5.
    pub const fn statement(self) -> i64 {
        self.ttl / 5
    }

    /// The time without a heartbeat of the scheduler's loop after which the lease is released: 0.3·TTL.
    pub const fn silence(self) -> i64 {
        self.ttl * 3 / 10
    }

    const fn trusted(self) -> i64 {
        self.ttl - self.ttl / 100 - self.ttl / 4
    }
}

/// Microseconds as seconds with the necessary decimals.
fn seconds(micros: i64) -> f64 {
    micros as f64 / SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_durations_are_safe() {
        let timing = LeaseTiming::new(10 * SECOND, None).expect("the default");
        assert_eq!(timing.renew, 2 * SECOND);
        assert_eq!(timing.deadline(BootTime::from_micros(0)).micros(), 7_400_000);
        assert_eq!(3 * timing.renew + timing.operation(), 6_800_000);
        assert!(LeaseTiming::new(2 * SECOND, None).is_ok());
    }

    #[test]
    fn renewal_interval_that_is_too_long_is_refused_with_the_longest_safe_one() {
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
