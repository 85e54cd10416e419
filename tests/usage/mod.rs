//! Usage accounting: each byte once, also under faults.

mod faults;
mod queue;
mod recording;
