//! The bell: a hint that there is something to do, rung after a commit. Nothing depends on its being heard: behind
//! it stands a poll.

use std::sync::Arc;

use tokio::sync::watch;

/// Rings on every host. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bell(Arc<watch::Sender<Rings>>);

/// How often it rang here and elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rings {
    here: u64,
    elsewhere: u64,
}

/// Hears the bell, also what rang between two calls of [`Ear::heard`].
#[derive(Clone, Debug)]
pub struct Ear {
    rings: watch::Receiver<Rings>,
    known_here: u64,
}

impl Default for Bell {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Rings::default())))
    }
}

impl Bell {
    /// Rings: never blocks, never fails.
    pub fn ring(&self) {
        self.0.send_modify(|rings| rings.here += 1);
    }

    /// Passes on a ring of another process.
    pub(super) fn ring_from_elsewhere(&self) {
        self.0.send_modify(|rings| rings.elsewhere += 1);
    }

    /// How often it has rung in this process: whoever keeps something that it rings for knows by that when to look again.
    pub fn rings_here(&self) -> u64 {
        self.0.borrow().here
    }

    /// How often it has rung, here or elsewhere.
    pub fn rings(&self) -> u64 {
        let rings = *self.0.borrow();
        rings.here + rings.elsewhere
    }

    /// Hears what rings from now on.
    pub fn ear(&self) -> Ear {
        let rings = self.0.subscribe();
        let known_here = rings.borrow().here;
        Ear { rings, known_here }
    }
}

impl Ear {
    /// Waits until the bell rings, or rang since the last call. Many rings in a row are one.
    pub async fn heard(&mut self) {
        if self.rings.changed().await.is_err() {
            // The bell is gone: nothing will ever ring again.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the bell rings in this process: what other processes must be told of.
    pub(super) async fn heard_here(&mut self) {
        let known = self.known_here;
        // The value is copied out at once: a borrow held across an await would block the bell.
        let heard = self.rings.wait_for(|rings| rings.here != known).await.map(|rings| rings.here);
        match heard {
            Ok(here) => self.known_here = here,
            Err(_) => std::future::pending::<()>().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_between_two_listens_is_not_lost() {
        let bell = Bell::default();
        let mut ear = bell.ear();
        bell.ring();
        bell.ring();
        ear.heard().await;
        let silence = tokio::time::timeout(std::time::Duration::from_millis(20), ear.heard()).await;
        assert!(silence.is_err(), "many rings in a row are one");
    }
}
