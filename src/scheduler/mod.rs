//! The leader's scheduled work: the loop, the ledger of runs, and the tasks, one file each.

pub mod driver;
mod heartbeat;
mod ledger;
mod runner;
pub mod tasks;
