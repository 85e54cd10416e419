//! `sarban plan`: shows the sizing of a panel on this machine, and warns about settings that don't fit.

mod sizing;
mod warnings;

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use self::sizing::{Machine, Sizing};
use self::warnings::warnings;
use super::output;
use super::preflight::Preflight;
use crate::config::Settings;
use crate::config::cores::Cores;
use crate::config::memory::Memory;

/// Arguments of `sarban plan`.
#[derive(Clone, Copy, Debug, Args)]
pub struct PlanArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Number of machines that run the panel
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    hosts: u32,
}

/// The output of `sarban plan`.
#[derive(Debug, Serialize)]
struct Plan {
    #[serde(flatten)]
    sizing: Sizing,
    warnings: Vec<String>,
}

impl Plan {
    fn new(settings: &Settings, machine: Machine, hosts: u32) -> Self {
        let sizing = Sizing::new(settings, machine, hosts);
        let warnings = warnings(settings, machine, &sizing);
        Self { sizing, warnings }
    }
}

pub(super) async fn run(args: PlanArgs, settings: &Settings, preflight: Preflight) -> anyhow::Result<()> {
    let problems = (preflight.all)(settings).await;
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let machine = Machine { cores: Cores::detect(), memory: Memory::detect(), open_files };
    let mut plan = Plan::new(settings, machine, args.hosts);
    plan.warnings.extend(problems.warnings.iter().cloned());
    if args.json {
        output::json(&plan)?;
    } else {
        output::print(table(&plan.sizing))?;
        for warning in &plan.warnings {
            output::line(format_args!("warning: {warning}"))?;
        }
    }
    problems.into_result()
}

fn table(sizing: &Sizing) -> comfy_table::Table {
    let mut table = output::table();
    let quota = sizing.quota.map_or("no quota".to_owned(), |quota| format!("quota {quota}"));
    table.add_row(["cores", &format!("{} (affinity {}, {quota})", sizing.cores, sizing.affinity)]);
    table.add_row(["workers", &format!("{} ({})", sizing.workers, sizing.reason)]);
    table.add_row(["database", sizing.database]);
    table.add_row(["connections", &connections(sizing)]);
    let requests = format!("{} at once; more wait up to one second, then get 503", sizing.requests_at_once);
    table.add_row(["requests", &requests]);
    let limit = match (sizing.memory_limit_mb, sizing.host_memory_mb) {
        (Some(limit), _) => format!("; limit {limit} MB"),
        (None, Some(host)) => format!("; no limit, the machine has {host} MB"),
        (None, None) => String::new(),
    };
    table.add_row(["memory", &format!("up to about {} MB{limit}", sizing.memory_mb)]);
    table
}

fn connections(sizing: &Sizing) -> String {
    let Sizing { database_connections: pool, lease_connections: lease, .. } = sizing;
    let each = format!("{pool} and {lease} for the lease");
    match sizing.hosts {
        1 => each,
        hosts => format!("{each} per host; {} on {hosts} hosts", (pool + lease) * u64::from(hosts)),
    }
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
        Plan::new(&settings, Machine { cores, memory, open_files: 20_000 }, hosts)
    }

    #[test]
    fn default_settings_on_one_machine_give_no_warning() {
        let Plan { sizing, warnings } = plan(&[], 1);
        assert_eq!((sizing.cores, sizing.affinity, sizing.quota, sizing.workers), (2, 4, Some(1.5), 5));
        assert_eq!((sizing.database, sizing.database_connections), ("sqlite", 4));
        assert_eq!(warnings, [""; 0]);
    }

    #[test]
    fn each_warning_names_the_setting_to_change() {
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
    fn estimate_above_the_memory_limit_gives_a_warning() {
        let Plan { sizing, warnings } = plan_within(&[], 1, 128);
        assert_eq!((sizing.memory_mb, sizing.memory_limit_mb), (40 + 110 + 5 * 3 + 4 * 5 + 20, Some(128)));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("205 MB") && warnings[0].contains("128 MB"), "{warnings:?}");
    }

    #[test]
    fn connections_of_all_hosts_include_the_lease() {
        assert_eq!(connections(&plan(&[], 1).sizing), "4 and 3 for the lease");
        assert_eq!(connections(&plan(&[], 3).sizing), "4 and 3 for the lease per host; 21 on 3 hosts");
    }
}
