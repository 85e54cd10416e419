//! Whole processes: starting, stopping, hand-over, upgrades, behind pgbouncer.

mod announcements;
pub mod clients;
mod copy_file;
mod database_states;
mod edge;
mod full_disk;
mod gone_clients;
mod idle;
mod killed_change;
pub mod panel_process;
pub mod pgbouncer;
pub mod processes;
mod read_only;
mod real_engines;
mod replaced_database;
mod replaced_file;
mod replies;
mod silent_cuts;
mod slow_database;
mod start_without_database;
mod starved;
mod stopping;
mod take_over;
mod unable;
mod versions;
mod without_database;
