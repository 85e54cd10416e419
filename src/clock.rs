//! The host's clocks behind one type, so that tests can fix the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::moment::{BootTime, Moment};

/// A source of time. Cheap to clone; the clones of a fixed clock share their time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real,
    /// Microseconds.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The host's clocks.
    pub const fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stays at `now` until [`Clock::advance`] moves it.
    pub fn fixed(now: Moment) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(now.micros()))))
    }

    /// Moves a fixed clock by `micros` microseconds; does nothing to the real one.
    pub fn advance(&self, micros: i64) {
        if let Source::Fixed(now) = &self.0 {
            now.fetch_add(micros, Ordering::SeqCst);
        }
    }

    /// Returns the wall-clock time (UTC).
    pub fn now(&self) -> Moment {
        Moment::from_micros(self.read(ClockId::Realtime))
    }

    /// Returns CLOCK_BOOTTIME, for deadlines: it never goes back, and unlike `Instant` it includes suspension.
    pub fn boot(&self) -> BootTime {
        BootTime::from_micros(self.read(ClockId::Boottime))
    }

    fn read(&self, id: ClockId) -> i64 {
        match &self.0 {
            Source::Real => {
                let at = clock_gettime(id);
                at.tv_sec * 1_000_000 + at.tv_nsec / 1_000
            }
            Source::Fixed(micros) => micros.load(Ordering::SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_clock_moves_only_by_advance() {
        let clock = Clock::fixed(Moment::from_micros(5));
        let same = clock.clone();
        assert_eq!(clock.now(), Moment::from_micros(5));
        same.advance(2);
        assert_eq!(clock.now(), Moment::from_micros(7));
    }

    #[test]
    fn real_clocks_run() {
        let clock = Clock::real();
        assert!(clock.now() > Moment::from_micros(1_700_000_000_000_000));
        let before = clock.boot();
        assert!(clock.boot() >= before);
    }
}
