//! The round trip to PostgreSQL, measured by the lease's own messages: a warning when it is too long for the lease.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::domain::lease::LeaseTiming;
use crate::foundation::lock;

/// Number of measurements of which the shortest counts: a single slow answer is no slow network.
const MEASUREMENTS: usize = 5;
/// Number of measurements after which the first warning may come.
const ENOUGH: usize = 3;

/// Measures the round trip. Cheap to clone; clones share the measurements.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    supported: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    recent: VecDeque<Duration>,
    is_slow: bool,
}

impl RoundTrips {
    /// Without a measurement yet.
    pub fn new(timing: LeaseTiming) -> Self {
        let supported = Duration::from_micros(timing.supported_round_trip().unsigned_abs());
        Self { supported, state: Arc::default() }
    }

    /// The longest round trip with which the lease is held.
    pub const fn supported(&self) -> Duration {
        self.supported
    }

    /// The shortest of the last measurements; `None` before the first, and on SQLite.
    pub fn current(&self) -> Option<Duration> {
        lock(&self.state).recent.iter().min().copied()
    }

    /// Adds a measurement, and logs it if the round trip has become too long, or short enough.
    pub(super) fn record(&self, round_trip: Duration) {
        let mut state = lock(&self.state);
        state.recent.push_back(round_trip);
        if state.recent.len() > MEASUREMENTS {
            state.recent.pop_front();
        }
        let current = state.recent.iter().min().copied().unwrap_or(round_trip);
        metrics::gauge!("database_round_trip_seconds").set(current.as_secs_f64());
        let was_slow = state.is_slow;
        // Between both limits nothing changes, so that a round trip near the limit does not fill the log.
        state.is_slow = if was_slow { current > self.supported * 4 / 5 } else { current > self.supported };
        state.is_slow &= state.recent.len() >= ENOUGH;
        match (was_slow, state.is_slow) {
            (false, true) => tracing::warn!(
                "a round trip to the database takes {} ms, and this LEASE_TTL_SECONDS supports {} ms: leadership may be \
                 lost again and again; raise LEASE_TTL_SECONDS, or run the panel nearer to the database",
                current.as_millis(),
                self.supported.as_millis()
            ),
            (true, false) => {
                tracing::info!("a round trip to the database takes {} ms, which is short enough", current.as_millis());
            }
            _ => {}
        }
    }

    #[cfg(test)]
    fn is_slow(&self) -> bool {
        lock(&self.state).is_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::SECOND;

    #[test]
    fn round_trip_is_too_long_when_the_shortest_of_the_last_ones_is() {
        let trips = RoundTrips::new(LeaseTiming::new(10 * SECOND, None).expect("the default"));
        assert_eq!(trips.supported(), Duration::from_millis(400));
        assert_eq!(trips.current(), None);
        let record = |ms: u64| trips.record(Duration::from_millis(ms));
        record(500);
        record(500);
        assert!(!trips.is_slow(), "two measurements are too few");
        record(500);
        assert!(trips.is_slow());
        assert_eq!(trips.current(), Some(Duration::from_millis(500)));
        record(350);
        assert!(trips.is_slow(), "just below the limit");
        record(100);
        assert!(!trips.is_slow());
        for _ in 0..4 {
            record(900);
        }
        assert!(!trips.is_slow(), "one of the last five was short");
        record(900);
        assert!(trips.is_slow());
    }
}
