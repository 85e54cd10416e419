//! Usage accounting: each byte once, also under faults.

mod damaged_spool;
mod faults;
mod large_spool;
mod queue;
mod recording;
