//! The sizing of a panel: workers, database connections, memory.

use serde::Serialize;

use crate::cli::output::whole_mib;
use crate::config::Settings;
use crate::config::cores::Cores;
use crate::config::database_url::DatabaseUrl;
use crate::config::memory::Memory;

// Upper estimates of memory, in MiB.

/// The program with its caches.
const PROGRAM_MB: u64 = 40;
/// The largest task: recording the usage of 100,000 users on three nodes, as measured in docs/performance.md.
const WORK_MB: u64 = 110;
/// Stack and allocator arena of a worker thread.
const THREAD_MB: u64 = 3;
/// Buffers and prepared statements of a PostgreSQL connection.
const POSTGRES_CONNECTION_MB: u64 = 1;
/// Buffers, prepared statements and page cache of a SQLite connection that reads.
const SQLITE_READER_MB: u64 = 5;
/// The same of the SQLite connection that writes.
const SQLITE_WRITER_MB: u64 = 20;

/// Database connections of the lease, which are not part of the pool.
pub(super) const LEASE_CONNECTIONS: u64 = 3;

/// Limits that the kernel sets for a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub cores: Cores,
    pub memory: Memory,
    /// Maximum number of open files.
    pub open_files: u64,
}

/// The sizing of a panel on a machine. The fields are part of the output of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Sizing {
    pub cores: usize,
    pub affinity: usize,
    pub quota: Option<f64>,
    pub workers: usize,
    pub reason: String,
    pub database: &'static str,
    pub database_connections: u64,
    pub hosts: u32,
    pub database_connections_all_hosts: u64,
    pub lease_connections: u64,
    pub requests_at_once: usize,
    pub memory_mb: u64,
    pub memory_limit_mb: Option<u64>,
    pub host_memory_mb: Option<u64>,
}

impl Sizing {
    /// Calculates the sizing for `hosts` machines that are like `machine` and have the same settings.
    pub(super) fn new(settings: &Settings, machine: Machine, hosts: u32) -> Self {
        let Machine { cores, memory, .. } = machine;
        let workers = settings.threads.workers(cores.whole());
        let connections = u64::from(settings.database.open_connections(cores.whole()));
        let (database, connections_mb) = match settings.database.url {
            DatabaseUrl::Sqlite { .. } => ("sqlite", connections * SQLITE_READER_MB + SQLITE_WRITER_MB),
            DatabaseUrl::Postgres { .. } => ("postgresql", connections * POSTGRES_CONNECTION_MB),
        };
        Self {
            cores: cores.whole(),
            affinity: cores.affinity,
            quota: cores.quota.map(|(time, period)| time as f64 / period as f64),
            workers: workers.threads,
            reason: workers.reason.to_string(),
            database,
            database_connections: connections,
            hosts,
            database_connections_all_hosts: connections * u64::from(hosts),
            lease_connections: LEASE_CONNECTIONS,
            requests_at_once: settings.requests_at_once(cores.whole()),
            memory_mb: PROGRAM_MB + WORK_MB + workers.threads as u64 * THREAD_MB + connections_mb,
            memory_limit_mb: memory.limit.map(whole_mib),
            host_memory_mb: memory.host.map(whole_mib),
        }
    }
}
