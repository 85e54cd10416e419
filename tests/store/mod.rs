//! Tests of the store on both engines, with real servers.

mod admins;
mod cancellation;
mod changes;
mod clock;
mod conditions;
mod connections;
mod full_disk;
mod hosts;
mod lookups;
mod migrate;
mod nodes;
mod opening;
mod outbox;
mod replaced_file;
mod silent_cuts;
mod statements;
mod subscription_fetches;
mod unknown_commits;
mod user_columns;
mod user_lists;
mod users;
