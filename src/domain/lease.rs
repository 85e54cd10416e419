//! The timing of the scheduler's lease: everything follows from its TTL and from how often it is renewed.

use super::moment::{BootTime, SECOND};

/// A TTL under this leaves no room for a disk that stalls.
const SHORTEST_TTL: i64 = 2 * SECOND;
/// A TTL over this would leave the panel without a leader for as long after a crash.
const LONGEST_TTL: i64 = 3_600 * SECOND;
/// More renewals than this would be a load of their own.
const SHORTEST_RENEW: i64 = SECOND / 20;

/// The numbers of a lease, in microseconds. One exists only when a leader can miss two renewals in a row, and have the
/// third time out, before it must stop trusting its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTiming {
    ttl: i64,
    renew: i64,
}

impl LeaseTiming {
    /// How often a lease of this TTL is renewed unless told otherwise.
    pub const fn default_renew(ttl_us: i64) -> i64 {
        ttl_us / 5
    }

    /// Checks `TTL·(1−ρ) − G ≥ 3R + operation time-out`. The error names the setting and what would be right.
    pub fn new(ttl_us: i64, renew_us: i64) -> Result<Self, String> {
        if !(SHORTEST_TTL..=LONGEST_TTL).contains(&ttl_us) {
            return Err(format!(
                "LEASE_TTL_SECONDS must be from {} to {}; it has {}",
                SHORTEST_TTL / SECOND,
                LONGEST_TTL / SECOND,
                seconds(ttl_us)
            ));
        }
        let timing = Self { ttl: ttl_us, renew: renew_us };
        let most = (timing.trusted_for() - timing.operation_timeout()) / 3;
        if !(SHORTEST_RENEW..=most).contains(&renew_us) {
            return Err(format!(
                "LEASE_RENEW_SECONDS must be from {} to {} while LEASE_TTL_SECONDS is {}, so that the lease outlives \
                 three renewals that fail; it has {}",
                seconds(SHORTEST_RENEW),
                seconds(most),
                seconds(ttl_us),
                seconds(renew_us)
            ));
        }
        Ok(timing)
    }

    /// How long the database holds the lease for its holder.
    pub const fn ttl(self) -> i64 {
        self.ttl
    }

    /// Time between two renewals (R), before the jitter of ±10 %.
    pub const fn renew(self) -> i64 {
        self.renew
    }

    /// What the holder stops early (G), so that what it sent last has ended when another may begin.
    pub const fn guard(self) -> i64 {
        self.ttl / 4
    }

    /// How far two clocks may drift apart in one TTL (ρ = 1 %).
    pub const fn drift(self) -> i64 {
        self.ttl / 100
    }

    /// How long one operation on the lease may take.
    pub const fn operation_timeout(self) -> i64 {
        self.ttl * 2 / 25
    }

    /// The same where one writer at a time may write (SQLite): the lease may have to wait for another process's turn.
    /// Then two renewals may fail in a row, not three.
    pub const fn operation_timeout_behind_a_writer(self) -> i64 {
        self.ttl / 5
    }

    /// How long a statement of a task, or a pause inside its transaction, may take.
    pub const fn statement_timeout(self) -> i64 {
        self.ttl / 5
    }

    /// How long after sending a renewal that succeeded the holder may act as leader.
    pub const fn trusted_for(self) -> i64 {
        self.ttl - self.drift() - self.guard()
    }

    /// Until when the holder may act, by a renewal sent at `sent`. The sending counts, never the answer: the lease began
    /// to run somewhere in between.
    pub const fn deadline(self, sent: BootTime) -> BootTime {
        BootTime::from_micros(sent.micros() + self.trusted_for())
    }
}

/// Seconds as people write them.
fn seconds(micros: i64) -> f64 {
    // Exact: a number of microseconds below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let micros = micros as f64;
    micros / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: i64 = 10 * SECOND;

    #[test]
    fn the_numbers_of_ten_seconds() {
        let timing = LeaseTiming::new(TEN, LeaseTiming::default_renew(TEN)).expect("the defaults");
        assert_eq!(timing.renew(), 2_000_000);
        assert_eq!(timing.guard(), 2_500_000);
        assert_eq!(timing.drift(), 100_000);
        assert_eq!(timing.operation_timeout(), 800_000);
        assert_eq!(timing.operation_timeout_behind_a_writer(), 2_000_000);
        assert_eq!(timing.statement_timeout(), 2_000_000);
        assert_eq!(timing.trusted_for(), 7_400_000);
        assert_eq!(3 * timing.renew() + timing.operation_timeout(), 6_800_000);
        assert_eq!(timing.deadline(BootTime::from_micros(5)), BootTime::from_micros(7_400_005));
    }

    #[test]
    fn every_ttl_is_right_with_its_default() {
        for ttl in [2 * SECOND, 3 * SECOND, 7_777_777, TEN, 60 * SECOND, 3_600 * SECOND] {
            LeaseTiming::new(ttl, LeaseTiming::default_renew(ttl)).expect("a default");
        }
    }

    #[test]
    fn the_rule_holds_to_the_microsecond() {
        LeaseTiming::new(TEN, 2_200_000).expect("7.4 >= 3 x 2.2 + 0.8");
        let error = LeaseTiming::new(TEN, 2_200_001).expect_err("just over");
        assert!(
            error.starts_with("LEASE_RENEW_SECONDS must be from 0.05 to 2.2 while LEASE_TTL_SECONDS is 10"),
            "{error}"
        );
    }

    #[test]
    fn names_what_is_wrong() {
        for ttl in [1_999_999, 0, -TEN, 3_601 * SECOND, i64::MAX] {
            let error = LeaseTiming::new(ttl, 400_000).expect_err("not a TTL");
            assert!(error.starts_with("LEASE_TTL_SECONDS must be from 2 to 3600"), "{error}");
        }
        LeaseTiming::new(TEN, 0).expect_err("never renewed");
        LeaseTiming::new(TEN, i64::MAX).expect_err("hardly ever renewed");
    }
}
