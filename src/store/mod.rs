//! All SQL, and nothing but SQL: two engines from one text. One file per table family; functions, not objects:
//! the first argument says whether one reads (`&Db`) or needs a transaction (`&mut Tx`).

pub mod admins;
mod by_engine;
pub mod changes;
pub mod clock;
mod db;
mod error;
pub mod expiring;
mod fence;
mod gate;
pub mod hosts;
mod id_list;
pub mod inbounds;
pub mod lease;
pub mod legacy;
mod like;
pub mod members;
pub mod migrate;
pub mod node_edits;
pub mod node_sync;
pub mod node_users;
pub mod nodes;
mod online;
pub mod outbox;
pub mod owner_totals;
mod pg;
mod pg_connections;
mod readers;
pub mod resets;
pub mod review;
pub mod runs;
pub mod secrets;
pub mod services;
pub mod settings;
mod statement;
pub mod stats;
pub mod subscription;
pub mod subscription_fetches;
pub mod tables;
pub mod tls_material;
mod traffic_writers;
pub mod usage_batches;
pub mod usage_days;
pub mod usage_hours;
pub mod usage_series;
pub mod usage_totals;
pub mod user_batches;
mod user_conditions;
mod user_list_count;
mod user_list_page;
pub mod user_lists;
pub mod user_nodes;
mod user_row;
pub mod users;
mod words;

pub use db::{Db, Engine, OpenOptions, Tx};
pub use error::{Fault, StoreError, retry};
pub use fence::{Fence, FenceError, FencedTx};
pub use id_list::IdList;
pub use pg::{Pg, PgTx};
pub use statement::Statement;

pub(crate) use statement::{read, row, row_in_order, run, statements};

/// Every SQL text of the house; `tests/sql.rs` prepares each on both engines, which replaces a compile-time check.
pub fn all_statements() -> impl Iterator<Item = &'static Statement> {
    [
        admins::STATEMENTS,
        changes::STATEMENTS,
        clock::STATEMENTS,
        expiring::STATEMENTS,
        fence::STATEMENTS,
        hosts::STATEMENTS,
        inbounds::STATEMENTS,
        lease::STATEMENTS,
        members::STATEMENTS,
        migrate::STATEMENTS,
        node_edits::STATEMENTS,
        node_sync::STATEMENTS,
        node_users::STATEMENTS,
        nodes::STATEMENTS,
        online::STATEMENTS,
        outbox::STATEMENTS,
        owner_totals::STATEMENTS,
        resets::STATEMENTS,
        review::STATEMENTS,
        runs::STATEMENTS,
        secrets::STATEMENTS,
        services::STATEMENTS,
        settings::STATEMENTS,
        stats::STATEMENTS,
        subscription::STATEMENTS,
        subscription_fetches::STATEMENTS,
        tls_material::STATEMENTS,
        traffic_writers::STATEMENTS,
        usage_batches::STATEMENTS,
        usage_days::STATEMENTS,
        usage_hours::STATEMENTS,
        usage_series::STATEMENTS,
        usage_totals::STATEMENTS,
        user_batches::STATEMENTS,
        user_lists::STATEMENTS,
        user_nodes::STATEMENTS,
        users::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .chain(tables::all_statements())
}
