//! Leadership, fence, ledger and usage accounting, on real databases and a real Redis.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/test_node/mod.rs"]
mod test_node;

mod elector;
mod fence;
mod gate;
mod lease;
mod ledger;
mod notify;
mod panel_process;
mod processes;
mod receiver;
mod resets;
mod retention;
mod review;
mod shadow;
mod task;
mod usage;
mod usage_faults;
mod usage_queue;
