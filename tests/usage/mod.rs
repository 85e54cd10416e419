//! Usage accounting: each byte once, also under faults.

mod damaged_spool;
mod faults;
mod queue;
mod recording;
