//! What a leader does on schedule: slots, the ledger, the driver, and one reconciler a file under `tasks`.

pub mod driver;
mod ledger;
pub mod tasks;
