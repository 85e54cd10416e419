//! Whole processes: starting, stopping, hand-over, upgrades, behind pgbouncer.

mod full_disk;
mod killed_change;
pub mod panel_process;
mod pgbouncer;
pub mod processes;
mod read_only;
mod replaced_file;
mod replies;
mod starved;
mod stopping;
mod take_over;
mod unable;
mod versions;
