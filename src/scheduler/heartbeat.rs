//! The heartbeat of the scheduler's loop, by which the lease renewal sees that the loop is not stuck.

use crate::clock::Clock;
use crate::cluster::leadership::LoopHeartbeat;
use crate::cluster::tick::tick;

/// The heartbeat, with its clock.
#[derive(Clone)]
pub(super) struct Heartbeat {
    pub(super) heartbeat: LoopHeartbeat,
    pub(super) clock: Clock,
}

impl Heartbeat {
    /// Records a beat.
    pub(super) fn beat(&self) {
        self.heartbeat.beat(self.clock.boot());
    }

    /// Waits for `answer`, beating meanwhile.
    pub(super) async fn beat_during<T>(&self, answer: impl Future<Output = T>) -> T {
        tokio::pin!(answer);
        loop {
            self.beat();
            tokio::select! {
                answer = &mut answer => return answer,
                () = tick() => {}
            }
        }
    }
}
