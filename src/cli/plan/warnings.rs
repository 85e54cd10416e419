//! Rules that warn about settings that don't fit the machine or each other.

use super::sizing::{LEASE_CONNECTIONS, Machine, Sizing};
use crate::cli::output::whole_mib;
use crate::config::Settings;
use crate::config::database_url::DatabaseUrl;

/// Open files that a busy panel needs; each client is one.
const OPEN_FILES: u64 = 4_096;
/// PostgreSQL's default of `max_connections`.
const POSTGRES_MAX_CONNECTIONS: u64 = 100;
/// More worker threads per core only cost context switches.
const WORKERS_PER_CORE: usize = 4;

/// The input of a rule.
#[derive(Clone, Copy)]
struct Facts<'a> {
    settings: &'a Settings,
    machine: Machine,
    sizing: &'a Sizing,
}

/// Returns a warning with the setting to change, or none when nothing is wrong.
type Rule = fn(Facts<'_>) -> Option<String>;

const RULES: [Rule; 9] = [
    sqlite_on_several_hosts,
    postgres_without_redis,
    too_many_postgres_connections,
    prepared_statements_behind_pgbouncer,
    fewer_connections_than_workers,
    too_little_memory,
    too_few_open_files,
    too_many_workers,
    debug,
];

/// Returns the warnings of all rules.
pub(super) fn warnings(settings: &Settings, machine: Machine, sizing: &Sizing) -> Vec<String> {
    let facts = Facts { settings, machine, sizing };
    RULES.iter().filter_map(|rule| rule(facts)).collect()
}

fn uses_sqlite(settings: &Settings) -> bool {
    matches!(settings.database.url, DatabaseUrl::Sqlite { .. })
}

fn sqlite_on_several_hosts(Facts { settings, sizing, .. }: Facts<'_>) -> Option<String> {
    let shared = sizing.hosts > 1 || settings.redis.is_some();
    (uses_sqlite(settings) && shared).then(|| {
        "several hosts can't share a SQLite database: set SQLALCHEMY_DATABASE_URL to PostgreSQL, or unset REDIS_URL and \
         use one host"
            .to_owned()
    })
}

fn postgres_without_redis(Facts { settings, .. }: Facts<'_>) -> Option<String> {
    (!uses_sqlite(settings) && settings.redis.is_none())
        .then(|| "several hosts need Redis: set REDIS_URL on all of them before you add a second one".to_owned())
}

fn too_many_postgres_connections(Facts { settings, sizing, .. }: Facts<'_>) -> Option<String> {
    let process = u64::from(settings.database.max_connections()) + LEASE_CONNECTIONS;
    let all = process * u64::from(sizing.hosts);
    (!uses_sqlite(settings) && all > POSTGRES_MAX_CONNECTIONS).then(|| {
        format!(
            "up to {all} database connections, and PostgreSQL allows {POSTGRES_MAX_CONNECTIONS} by default: lower \
             SQLALCHEMY_CONNECTION_POOL_SIZE and SQLALCHEMY_CONNECTION_MAX_OVERFLOW, raise max_connections of \
             PostgreSQL, or use pgbouncer"
        )
    })
}

fn prepared_statements_behind_pgbouncer(Facts { settings, .. }: Facts<'_>) -> Option<String> {
    let database = &settings.database;
    let behind_pgbouncer = !uses_sqlite(settings) && database.direct_url() != &database.url;
    (behind_pgbouncer && database.statement_cache > 0).then(|| {
        "DATABASE_DIRECT_URL implies pgbouncer, which has no prepared statements before version 1.21: set \
         DATABASE_STATEMENT_CACHE=0 for an older one"
            .to_owned()
    })
}

fn fewer_connections_than_workers(Facts { settings, sizing, .. }: Facts<'_>) -> Option<String> {
    let (workers, connections) = (sizing.workers, settings.database.max_connections());
    (u64::from(connections) < workers as u64).then(|| {
        format!(
            "{workers} worker threads wait for {connections} database connections: raise \
             SQLALCHEMY_CONNECTION_POOL_SIZE to at least {workers}"
        )
    })
}

fn too_little_memory(Facts { machine, sizing, .. }: Facts<'_>) -> Option<String> {
    let available = machine.memory.available().map(whole_mib).filter(|available| *available < sizing.memory_mb)?;
    Some(format!(
        "the panel may need {} MB of memory, and {available} MB are available: raise the limit (mem_limit or \
         deploy.resources in a compose file, MemoryMax= in a systemd unit), or lower SQLALCHEMY_CONNECTION_POOL_SIZE",
        sizing.memory_mb
    ))
}

fn too_few_open_files(Facts { machine, .. }: Facts<'_>) -> Option<String> {
    let files = machine.open_files;
    (files < OPEN_FILES).then(|| {
        format!(
            "the limit of open files is {files}, and each client needs one: raise the limit to at least {OPEN_FILES} \
             (LimitNOFILE= in a systemd unit, ulimits in a compose file, ulimit -n in a shell)"
        )
    })
}

fn too_many_workers(Facts { sizing, .. }: Facts<'_>) -> Option<String> {
    let (workers, cores) = (sizing.workers, sizing.cores);
    let most = WORKERS_PER_CORE * cores;
    (workers > most).then(|| {
        format!(
            "{workers} worker threads share {cores} cores: leave UVICORN_WORKERS empty, or set it to at most {most}"
        )
    })
}

fn debug(Facts { settings, .. }: Facts<'_>) -> Option<String> {
    settings
        .threads
        .debug
        .then(|| "DEBUG=true limits the panel to one worker thread: set DEBUG=false in production".to_owned())
}
