//! Tests of the store on both engines, with real servers.

mod admins;
mod cancellation;
mod changes;
mod clock;
mod conditions;
mod connections;
mod copy_follower;
mod copy_shared_part;
mod copy_source;
mod full_disk;
mod hosts;
mod lookups;
mod merged_sums;
mod migrate;
mod nodes;
mod opening;
mod other_commits;
mod outbox;
mod replaced_file;
mod roles;
mod silent_cuts;
mod statements;
mod subscription_fetches;
mod unknown_commits;
mod user_columns;
mod user_lists;
pub mod users;
