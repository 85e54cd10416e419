//! Leadership, fence, ledger and usage accounting, on real databases and a real Redis.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/ports.rs"]
mod ports;

#[path = "../support/servers.rs"]
mod servers;

#[path = "../support/test_node/mod.rs"]
mod test_node;

#[path = "../support/threads.rs"]
mod threads;

mod asked;
mod changes;
mod elector;
mod fence;
mod lease;
mod lease_properties;
mod ledger;
mod members;
mod notify;
mod panel_process;
mod pgbouncer;
mod processes;
mod receiver;
mod redis_kinds;
mod redis_lock;
mod redis_pool;
mod resets;
mod retention;
mod review;
mod shadow;
mod starved;
mod stopping;
mod take_over;
mod task;
mod task_news;
mod usage;
mod usage_faults;
mod usage_queue;
mod versions;
mod wakeup_relay;
