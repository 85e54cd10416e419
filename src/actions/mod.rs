//! Use cases, one function each: begin, decide in `domain`, write, commit, then ring.

pub mod admins;
pub mod attempt_limiter;
pub mod cluster;
pub mod engines;
pub mod fetch_log;
pub mod hosts;
pub mod lookups;
pub mod nodes;
pub mod notification_targets;
pub mod notifications;
pub mod passwords;
pub mod recent;
pub mod services;
pub mod settings;
pub mod sign_in;
pub mod subscriptions;
pub mod usage_series;
pub mod users;

use std::time::Duration;

use notification_targets::LiveTargets;

use crate::clock::Clock;
use crate::cluster::wakeup::Wakeup;
use crate::store::Db;

/// Between two transactions of a large piece of work: SQLite lets others write only while nobody does.
const PAUSE: Duration = Duration::from_millis(50);

/// What every use case needs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Where everything is.
    pub db: Db,
    /// The host's clock: requests are stamped with it.
    pub clock: Clock,
    /// Rung after every commit that leaves the leader something to do.
    pub wakeup: Wakeup,
    /// Who is told of what happens to users.
    pub targets: LiveTargets,
}
