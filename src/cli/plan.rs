//! `sarban plan`: what this machine gets and why, and what to mend before it matters.

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::output;
use crate::config::Settings;
use crate::config::cores::Cores;
use crate::config::database_url::DatabaseUrl;
use crate::config::memory::Memory;

/// Estimates in MiB, on the safe side: the program with its caches, the largest piece of work (recording what 100,000
/// users used on three nodes took as much: docs/performance.md), the stack and the arena of a thread, the buffers and
/// prepared statements of a connection to PostgreSQL, those and the page cache of one that reads from SQLite, and of the
/// one that writes.
const PROGRAM_MB: u64 = 40;
const WORK_MB: u64 = 110;
const THREAD_MB: u64 = 3;
const POSTGRES_CONNECTION_MB: u64 = 1;
const SQLITE_READER_MB: u64 = 5;
const SQLITE_WRITER_MB: u64 = 20;

/// The lease has connections of its own, beside the pool.
const LEASE_CONNECTIONS: u64 = 3;

/// Below this a busy panel runs out of files: each client is one.
const OPEN_FILES: u64 = 4_096;

/// What PostgreSQL allows unless told otherwise.
const POSTGRES_USUAL_CONNECTIONS: u64 = 100;

/// How to show the plan.
#[derive(Clone, Copy, Debug, Args)]
pub struct PlanArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How many hosts run the panel together
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    hosts: u32,
}

/// What the kernel lets this process use.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Processors.
    pub cores: Cores,
    /// Memory.
    pub memory: Memory,
    /// Open files.
    pub files: u64,
}

/// What this machine gets.
#[derive(Debug, Serialize)]
pub struct Plan {
    cores: usize,
    affinity: usize,
    quota: Option<f64>,
    workers: usize,
    reason: String,
    database: &'static str,
    database_connections: u64,
    hosts: u32,
    database_connections_all_hosts: u64,
    lease_connections: u64,
    requests_at_once: usize,
    memory_mb: u64,
    memory_limit_mb: Option<u64>,
    host_memory_mb: Option<u64>,
    warnings: Vec<String>,
}

pub(super) fn run(args: &PlanArgs, settings: &Settings) -> anyhow::Result<()> {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let machine = Machine { cores: Cores::detect(), memory: Memory::detect(), files };
    let plan = Plan::new(settings, machine, args.hosts);
    if args.json {
        return output::json(&plan);
    }
    output::print(plan.table())?;
    for warning in &plan.warnings {
        output::line(format_args!("warning: {warning}"))?;
    }
    Ok(())
}

impl Plan {
    /// The plan for these settings on such a machine, for so many hosts.
    #[allow(clippy::cast_precision_loss)]
    pub fn new(settings: &Settings, machine: Machine, hosts: u32) -> Self {
        let Machine { cores, memory, .. } = machine;
        let workers = settings.threads.workers(cores.whole());
        let connections = u64::from(settings.database.open_connections(cores.whole()));
        let (database, connections_mb) = match settings.database.url {
            DatabaseUrl::Sqlite { .. } => ("sqlite", connections * SQLITE_READER_MB + SQLITE_WRITER_MB),
            DatabaseUrl::Postgres { .. } => ("postgresql", connections * POSTGRES_CONNECTION_MB),
        };
        let memory_mb = PROGRAM_MB + WORK_MB + workers.threads as u64 * THREAD_MB + connections_mb;
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
            memory_mb,
            memory_limit_mb: memory.limit.map(whole_mb),
            host_memory_mb: memory.host.map(whole_mb),
            warnings: warnings(settings, machine, memory_mb, workers.threads, hosts),
        }
    }

    fn table(&self) -> comfy_table::Table {
        let mut table = output::table();
        let quota = self.quota.map_or("no quota".to_owned(), |quota| format!("a quota of {quota}"));
        table.add_row(["cores", &format!("{} (affinity {}, {quota})", self.cores, self.affinity)]);
        table.add_row(["workers", &format!("{} ({})", self.workers, self.reason)]);
        table.add_row(["database", self.database]);
        let connections = match self.hosts {
            1 => self.database_connections.to_string(),
            hosts => {
                format!("{}, on {hosts} hosts {}", self.database_connections, self.database_connections_all_hosts)
            }
        };
        let connections = format!("{connections}, and {} of each process for the lease", self.lease_connections);
        table.add_row(["connections", &connections]);
        let requests = format!("{} at once; further ones wait up to a second, then get 503", self.requests_at_once);
        table.add_row(["requests", &requests]);
        let of = match (self.memory_limit_mb, self.host_memory_mb) {
            (Some(limit), _) => format!(", limit {limit} MB"),
            (None, Some(host)) => format!(", no limit but the host's {host} MB"),
            (None, None) => String::new(),
        };
        table.add_row(["memory", &format!("up to about {} MB{of}", self.memory_mb)]);
        table
    }
}

/// What will hurt, each with the setting that mends it.
fn warnings(settings: &Settings, machine: Machine, memory_mb: u64, threads: usize, hosts: u32) -> Vec<String> {
    let Machine { cores, memory, files } = machine;
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(text);
    let database = &settings.database;
    match database.url {
        DatabaseUrl::Sqlite { .. } => {
            if hosts > 1 || settings.redis.is_some() {
                warn(
                    "SQLite lives on one host and can't be shared with others: point SQLALCHEMY_DATABASE_URL at \
                      PostgreSQL, or unset REDIS_URL and stay on one host"
                        .to_owned(),
                );
            }
        }
        DatabaseUrl::Postgres { .. } => {
            if settings.redis.is_none() {
                warn(
                    "without REDIS_URL this is a panel of one host: before there is a second one, set REDIS_URL on all"
                        .to_owned(),
                );
            }
            let all = (u64::from(database.max_connections()) + LEASE_CONNECTIONS) * u64::from(hosts);
            if all > POSTGRES_USUAL_CONNECTIONS {
                warn(format!(
                    "{all} database connections are more than the {POSTGRES_USUAL_CONNECTIONS} that PostgreSQL usually \
                     allows: lower SQLALCHEMY_CONNECTION_POOL_SIZE and SQLALCHEMY_CONNECTION_MAX_OVERFLOW, raise the \
                     server's max_connections, or put pgbouncer in between"
                ));
            }
            if database.direct_url() != &database.url && database.statement_cache > 0 {
                warn(
                    "DATABASE_DIRECT_URL tells of a pgbouncer, and many can't keep prepared statements: set \
                      DATABASE_STATEMENT_CACHE=0"
                        .to_owned(),
                );
            }
        }
    }
    if u64::from(database.max_connections()) < threads as u64 {
        warn(format!(
            "{threads} worker threads share {} database connections and wait for them: raise \
             SQLALCHEMY_CONNECTION_POOL_SIZE to {threads} at least",
            database.max_connections()
        ));
    }
    if let Some(available) = memory.available().map(whole_mb).filter(|available| *available < memory_mb) {
        warn(format!(
            "it may come to {memory_mb} MB, and there are {available} MB: raise the limit (mem_limit or deploy.resources \
             in a compose file, MemoryMax= in a unit), or lower SQLALCHEMY_CONNECTION_POOL_SIZE"
        ));
    }
    if files < OPEN_FILES {
        warn(format!(
            "only {files} files may be open, and every client is one: raise the limit to {OPEN_FILES} at least \
             (LimitNOFILE= in the unit, ulimits in the compose file, ulimit -n in a shell)"
        ));
    }
    if threads > 4 * cores.whole() {
        warn(format!(
            "{threads} worker threads take turns on {} cores: leave UVICORN_WORKERS empty, or set it to {} at most",
            cores.whole(),
            4 * cores.whole()
        ));
    }
    if settings.threads.debug {
        warn("one worker thread serves everything while DEBUG is on: set DEBUG=false for a panel in use".to_owned());
    }
    warnings
}

const fn whole_mb(bytes: u64) -> u64 {
    bytes / 1_048_576
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn plan(variables: &[(&str, &str)], hosts: u32) -> Plan {
        plan_within(variables, hosts, 512)
    }

    fn plan_within(variables: &[(&str, &str)], hosts: u32, limit_mb: u64) -> Plan {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let settings = Settings::load(variables, None, "box").expect("right settings");
        let cores = Cores { affinity: 4, quota: Some((150_000, 100_000)) };
        let memory = Memory { limit: Some(limit_mb * 1_048_576), host: None };
        Plan::new(&settings, Machine { cores, memory, files: 20_000 }, hosts)
    }

    #[test]
    fn one_box_needs_no_warning() {
        let plan = plan(&[], 1);
        assert_eq!((plan.cores, plan.affinity, plan.quota, plan.workers), (2, 4, Some(1.5), 5));
        assert_eq!((plan.database, plan.database_connections), ("sqlite", 4));
        assert_eq!(plan.warnings, [""; 0]);
    }

    #[test]
    fn each_warning_names_the_setting_that_mends_it() {
        let postgres = ("DATABASE_URL", "postgresql://h/d");
        let redis = ("REDIS_URL", "redis://h");
        for (variables, hosts, setting) in [
            (&[][..], 2, "SQLALCHEMY_DATABASE_URL"),
            (&[redis][..], 1, "SQLALCHEMY_DATABASE_URL"),
            (&[postgres][..], 1, "REDIS_URL"),
            (&[postgres, redis][..], 8, "SQLALCHEMY_CONNECTION_POOL_SIZE"),
            (&[("SQLALCHEMY_CONNECTION_POOL_SIZE", "4")][..], 1, "SQLALCHEMY_CONNECTION_POOL_SIZE"),
            (&[postgres, redis, ("DATABASE_DIRECT_URL", "postgresql://x/d")][..], 1, "DATABASE_STATEMENT_CACHE=0"),
            (&[("UVICORN_WORKERS", "9")][..], 1, "UVICORN_WORKERS"),
            (&[("DEBUG", "true")][..], 1, "DEBUG=false"),
        ] {
            let warnings = plan(variables, hosts).warnings;
            assert_eq!(warnings.len(), 1, "{variables:?}: {warnings:?}");
            assert!(warnings[0].contains(setting), "{warnings:?}");
        }
        assert_eq!(plan(&[postgres, redis], 7).warnings, [""; 0]);
    }

    #[test]
    fn more_than_the_memory_that_there_is_is_a_warning() {
        let plan = plan_within(&[], 1, 128);
        assert_eq!((plan.memory_mb, plan.memory_limit_mb), (40 + 110 + 5 * 3 + 4 * 5 + 20, Some(128)));
        assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
        assert!(plan.warnings[0].contains("205 MB, and there are 128 MB"), "{:?}", plan.warnings);
    }
}
