//! Findings of a process about itself, for the member list: parts of its work that the lease's thread, with connections of
//! its own, can't see fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::foundation::lock;

/// Time without an answer of the database after which the workers can't do the tasks' work. Longer than one probe and the
/// pause between two.
const SILENCE: Duration = Duration::from_secs(5);

/// The findings of this process. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct SelfReport(Arc<Mutex<Findings>>);

#[derive(Debug, Default)]
struct Findings {
    database_answered: Option<Instant>,
}

impl SelfReport {
    /// Records that the workers' connections reached a database that they can write to.
    pub fn database_answered(&self) {
        lock(&self.0).database_answered = Some(Instant::now());
    }

    /// True if the workers can do the tasks' work; `None` as long as nothing probes that.
    pub fn can_work(&self) -> Option<bool> {
        let can_work = lock(&self.0).database_answered.map(|answered| answered.elapsed() < SILENCE);
        if let Some(can_work) = can_work {
            metrics::gauge!("panel_can_work").set(if can_work { 1.0 } else { 0.0 });
        }
        can_work
    }
}
