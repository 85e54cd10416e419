//! The clocks of the host, behind one type, so that every test can hold them still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::moment::{BootTime, Moment};

/// Tells the time. Cheap to clone; a fixed clock's clones share one hand.
#[derive(Clone, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Debug)]
enum Hands {
    Real,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The host's clocks.
    pub const fn real() -> Self {
        Self(Hands::Real)
    }

    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn fixed(now: Moment) -> Self {
        Self(Hands::Fixed(Arc::new(AtomicI64::new(now.micros()))))
    }

    /// Moves a fixed clock by `micros`; the real one does not listen.
    pub fn advance(&self, micros: i64) {
        if let Hands::Fixed(hand) = &self.0 {
            hand.fetch_add(micros, Ordering::SeqCst);
        }
    }

    /// Wall-clock time (UTC): for what people read and for requests.
    pub fn now(&self) -> Moment {
        Moment::from_micros(self.read(ClockId::Realtime))
    }

    /// CLOCK_BOOTTIME: never set back, and it goes on while the machine is suspended, unlike `Instant`. For deadlines.
    pub fn boot(&self) -> BootTime {
        BootTime::from_micros(self.read(ClockId::Boottime))
    }

    fn read(&self, id: ClockId) -> i64 {
        match &self.0 {
            Hands::Real => {
                let at = clock_gettime(id);
                at.tv_sec * 1_000_000 + at.tv_nsec / 1_000
            }
            Hands::Fixed(hand) => hand.load(Ordering::SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = Clock::fixed(Moment::from_micros(5));
        let same = clock.clone();
        assert_eq!(clock.now(), Moment::from_micros(5));
        same.advance(2);
        assert_eq!(clock.now(), Moment::from_micros(7));
    }

    #[test]
    fn the_real_clocks_run() {
        let clock = Clock::real();
        assert!(clock.now() > Moment::from_micros(1_700_000_000_000_000));
        let before = clock.boot();
        assert!(clock.boot() >= before);
    }
}
