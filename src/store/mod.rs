//! All SQL, for two engines from one text. A folder per kind of data. Functions take `&Db` for a read and `&mut Tx` for
//! work in a transaction.
#![expect(unused_braces, reason = "rustfmt wraps a long body of a statement macro in a block")]

pub mod access;
pub mod audit;
pub mod backlog;
pub mod backup;
pub mod cluster;
pub mod copy;
pub mod edges;
mod engine;
pub mod hosts;
pub mod import;
pub mod nodes;
pub mod notify;
pub mod panel_addresses;
pub mod settings;
pub mod stats;
pub mod usage;
pub mod users;

pub use cluster::{Fence, FenceError, FencedTx};
pub use engine::{
    Condition, Db, Engine, Fault, IdList, OpenOptions, OtherCommits, Pg, PgTx, Statement, StoreError, Transient, Tx,
    Work, analyze, clock, migrate,
};

/// Returns every SQL statement of the crate. `tests/store/statements.rs` prepares each on both engines, in place of a compile-time
/// check.
pub fn all_statements() -> impl Iterator<Item = &'static Statement> {
    [
        backlog::STATEMENTS,
        access::accounts::STATEMENTS,
        access::admins::STATEMENTS,
        access::api_tokens::STATEMENTS,
        access::roles::STATEMENTS,
        access::second_factor::STATEMENTS,
        access::passkeys::STATEMENTS,
        access::quotas::STATEMENTS,
        access::quotas::disabled::STATEMENTS,
        access::secrets::STATEMENTS,
        access::saved_views::STATEMENTS,
        access::sessions::STATEMENTS,
        access::setup_codes::STATEMENTS,
        audit::entries::STATEMENTS,
        audit::seals::STATEMENTS,
        cluster::FENCE_STATEMENTS,
        edges::STATEMENTS,
        cluster::lease::STATEMENTS,
        cluster::members::STATEMENTS,
        cluster::requests::STATEMENTS,
        cluster::run_history::STATEMENTS,
        cluster::runs::STATEMENTS,
        clock::STATEMENTS,
        copy::source::STATEMENTS,
        engine::PROBE_STATEMENTS,
        engine::statistics::STATEMENTS,
        engine::table_locks::STATEMENTS,
        engine::SQLITE_COMMITS_STATEMENTS,
        hosts::STATEMENTS,
        hosts::inbounds::STATEMENTS,
        hosts::services::STATEMENTS,
        hosts::subscription_sources::STATEMENTS,
        migrate::STATEMENTS,
        nodes::STATEMENTS,
        nodes::edit_lock::STATEMENTS,
        nodes::engine_changes::STATEMENTS,
        nodes::engine_configs::STATEMENTS,
        nodes::engines::STATEMENTS,
        nodes::doubt::STATEMENTS,
        nodes::healing::STATEMENTS,
        nodes::hold::STATEMENTS,
        nodes::expected_users::STATEMENTS,
        nodes::offers::STATEMENTS,
        nodes::statistics::STATEMENTS,
        nodes::sync_progress::STATEMENTS,
        nodes::sync_state::STATEMENTS,
        nodes::tls_material::STATEMENTS,
        notify::outbox::STATEMENTS,
        settings::STATEMENTS,
        panel_addresses::STATEMENTS,
        stats::STATEMENTS,
        usage::batches::STATEMENTS,
        usage::by_node::STATEMENTS,
        usage::days::STATEMENTS,
        usage::hours::STATEMENTS,
        usage::series::STATEMENTS,
        usage::totals::STATEMENTS,
        usage::traffic_writers::STATEMENTS,
        users::STATEMENTS,
        users::row::STATEMENTS,
        users::bulk::STATEMENTS,
        users::bulk_requests::STATEMENTS,
        users::bulk_selection::STATEMENTS,
        users::bulk_update::STATEMENTS,
        users::changes::STATEMENTS,
        users::diagnosis::STATEMENTS,
        users::expiring::STATEMENTS,
        users::list::STATEMENTS,
        users::node_status::STATEMENTS,
        users::online::STATEMENTS,
        users::owner_totals::STATEMENTS,
        users::resets::STATEMENTS,
        users::review::STATEMENTS,
        users::subscription_fetches::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .chain(backup::all_statements())
    .chain(import::tables::all_statements())
}
