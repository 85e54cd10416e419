//! The host's clocks behind one type, so that tests can fix the time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::moment::{BootTime, Moment};

/// A source of time. Cheap to clone; the clones of a fixed clock share their time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real,
    Fixed(Arc<Fixed>),
}

/// The time of a fixed clock, in microseconds.
#[derive(Debug)]
struct Fixed {
    now: AtomicI64,
    boot: AtomicI64,
}

impl Clock {
    /// The host's clocks.
    pub const fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stays at `now` until [`Clock::advance`] moves it.
    pub fn fixed(now: Moment) -> Self {
        Self(Source::Fixed(Arc::new(Fixed { now: now.micros().into(), boot: now.micros().into() })))
    }

    /// Moves a fixed clock by `micros` microseconds; does nothing to the real one.
    pub fn advance(&self, micros: i64) {
        if let Source::Fixed(fixed) = &self.0 {
            fixed.now.fetch_add(micros, Ordering::SeqCst);
            fixed.boot.fetch_add(micros, Ordering::SeqCst);
        }
    }

    /// Sets the wall clock of a fixed one back, as an operator might that of a host.
    pub fn set_back(&self, micros: i64) {
        if let Source::Fixed(fixed) = &self.0 {
            fixed.now.fetch_sub(micros, Ordering::SeqCst);
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

    /// Returns the id of the boot that [`Clock::boot`] counts from; empty if the host does not say.
    pub fn boot_id(&self) -> &str {
        static ID: OnceLock<String> = OnceLock::new();
        match &self.0 {
            Source::Real => ID.get_or_init(|| {
                let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
                id.trim().to_owned()
            }),
            Source::Fixed(_) => "fixed",
        }
    }

    fn read(&self, id: ClockId) -> i64 {
        match &self.0 {
            Source::Real => {
                let at = clock_gettime(id);
                at.tv_sec * 1_000_000 + at.tv_nsec / 1_000
            }
            Source::Fixed(fixed) if id == ClockId::Boottime => fixed.boot.load(Ordering::SeqCst),
            Source::Fixed(fixed) => fixed.now.load(Ordering::SeqCst),
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
        same.set_back(4);
        assert_eq!((clock.now(), clock.boot()), (Moment::from_micros(3), BootTime::from_micros(7)));
    }

    #[test]
    fn real_clocks_run() {
        let clock = Clock::real();
        assert!(clock.now() > Moment::from_micros(1_700_000_000_000_000));
        let before = clock.boot();
        assert!(clock.boot() >= before);
    }
}
