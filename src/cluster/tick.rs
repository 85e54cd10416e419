//! The tick of the lease's thread: what looks for changes from time to time waits for the same moments, so that together
//! they wake the thread once.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Time between two ticks. tokio looks for timers that are further away than 64 ms at each multiple of 64 ms since the start
/// of the runtime: a timer at such a multiple wakes the thread once, any other one twice.
pub const TICK: Duration = Duration::from_millis(3 * 64);

static FIRST: OnceLock<Instant> = OnceLock::new();

/// Lets the ticks begin. To be called directly before the runtime of the lease's thread is made.
pub fn begin() {
    FIRST.get_or_init(Instant::now);
}

/// Waits for the next tick.
pub async fn tick() {
    let now = Instant::now();
    sleep_until(now + until_next(*FIRST.get_or_init(|| now), now)).await;
}

fn until_next(first: Instant, now: Instant) -> Duration {
    let since = now.saturating_duration_since(first).as_nanos() % TICK.as_nanos();
    // Tests have clocks of their own, which may be behind.
    let before = first.saturating_duration_since(now).as_nanos() % TICK.as_nanos();
    let wait = if before > 0 { before } else { TICK.as_nanos() - since };
    Duration::from_nanos(u64::try_from(wait).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wait_for_the_same_moments() {
        let (first, step) = (Instant::now(), TICK / 4);
        assert_eq!(until_next(first, first), TICK);
        assert_eq!(until_next(first, first + 41 * step), 3 * step);
        assert_eq!(until_next(first, first + 43 * step), step);
        assert_eq!(until_next(first + 41 * step, first), step, "a clock that is behind");
        assert_eq!(until_next(first + 40 * step, first), TICK);
    }
}
