//! Injects every fault that a cluster must survive into real panels, PostgreSQL and Redis, and checks the invariants of
//! the coordination against the committed rows.
//!
//! `make chaos` chooses the number of faults; without arguments a run takes about a minute, as a part of the tests.
#![allow(missing_docs, clippy::print_stdout, clippy::expect_used, reason = "a program for tests")]

mod backups;
mod copies;
mod cover;
mod disks;
mod edges;
mod faults;
mod fetches;
mod kinds;
mod load;
mod panels;
mod programs;
mod promises;
mod report;
mod ways;
mod witness;
mod world;

#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/servers.rs"]
mod servers;
#[path = "../support/test_node/mod.rs"]
mod test_node;
#[path = "../support/threads.rs"]
mod threads;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use faults::inject;
use kinds::{FIRST, Kind, WITH_ONE_REDIS, WITH_SENTINELS};
use programs::Programs;
use report::Report;
use witness::Part;
use world::{Plan, World};

/// Injects faults into a running cluster and checks its invariants.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// Seed of the sequence of faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of faults with one Redis
    #[arg(long, default_value_t = 12)]
    faults: u64,
    /// Number of faults with Sentinels
    #[arg(long, default_value_t = 4)]
    sentinel_faults: u64,
    /// Number of orderly hand-overs on a cluster without faults and delays
    #[arg(long, default_value_t = 0)]
    hand_overs: u64,
    /// Number of panels
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=5))]
    panels: u8,
    /// Milliseconds that an engine of the node takes for a change of a user: the more, the more often a fault falls into one
    #[arg(long, default_value_t = 3)]
    engine_ms: u64,
    /// Disables a part of the protocol; the run then succeeds only if an invariant is violated
    #[arg(long, value_enum)]
    without: Option<Part>,
    /// Injects these kinds of faults only
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// Path of the panel's program
    #[arg(long, default_value = env!("CARGO_BIN_EXE_sarban"))]
    program: PathBuf,
    /// Path of another version: each start of a panel or an edge takes the one that the start before did not take
    #[arg(long)]
    older: Option<PathBuf>,
    /// File for the result as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Folder for the logs
    #[arg(long)]
    logs: Option<PathBuf>,
    /// Arguments that `cargo test` passes on
    #[arg(hide = true)]
    _filters: Vec<String>,
}

const TTL: Duration = Duration::from_secs(3);
/// Faults from which on a run is long.
const LONG: u64 = 50;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // More workers than faults at a time: waiting for a killed server blocks a worker, and the proxies must go on.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let run = async { run_stages(&arguments).await };
    match runtime.expect("a runtime").block_on(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:?}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings: `make test` sets the address of PostgreSQL")]
async fn run_stages(arguments: &Arguments) -> Result<bool> {
    let bin = std::env::var("SARBAN_TEST_POSTGRES_BIN").context("SARBAN_TEST_POSTGRES_BIN: run `make chaos`")?;
    let mut reports = Vec::new();
    let plan = Plan {
        panels: arguments.panels.into(),
        ttl: TTL,
        sentinels: false,
        calm: false,
        engine: Duration::from_millis(arguments.engine_ms),
        without: arguments.without,
    };
    let stages = [
        ("one_redis", plan, arguments.faults),
        ("sentinels", Plan { sentinels: true, ..plan }, arguments.sentinel_faults),
        ("calm", Plan { calm: true, ..plan }, arguments.hand_overs),
    ];
    for (name, plan, count) in stages {
        if count > 0 {
            reports.push((name, stage(plan, count, arguments, bin.clone()).await?));
        }
    }
    if let Some(path) = &arguments.json {
        let stages: BTreeMap<&str, &Report> = reports.iter().map(|(name, report)| (*name, report)).collect();
        let result = serde_json::json!({"seed": arguments.seed, "panels": arguments.panels, "ttl_seconds": TTL.as_secs(),
            "without": arguments.without.map(|part| format!("{part:?}")), "stages": stages});
        std::fs::write(path, format!("{result:#}\n"))?;
    }
    let holds = reports.iter().all(|(_, report)| report.violations(TTL).is_empty());
    if arguments.without.is_some() && holds {
        println!("No invariant was violated although a part of the protocol is disabled: the harness can't detect it.");
    }
    Ok(holds == arguments.without.is_none())
}

async fn stage(plan: Plan, count: u64, arguments: &Arguments, bin: String) -> Result<Report> {
    let folder = servers::open_folder()?;
    println!("{plan:?}, seed {}, {count} faults, in {}", arguments.seed, folder.path().display());
    let programs = Programs::new(arguments.program.clone(), arguments.older.clone());
    let world = Arc::new(World::build(plan, &folder, bin, programs).await?);
    if !world.has_small_disks() {
        println!("This host permits no mount: no disk is filled.");
    }
    let changing = tokio::spawn(world.clone().change_users(arguments.seed));
    // They end with the stage, and the servers with them.
    let _watching = [
        AbortOnDropHandle::new(tokio::spawn(world.witness.clone().watch())),
        AbortOnDropHandle::new(tokio::spawn(world.clone().keep_running())),
        AbortOnDropHandle::new(tokio::spawn(cover::watch(world.clone()))),
    ];
    let fetching = tokio::spawn(fetches::fetch(world.clone(), arguments.seed));
    let producing = tokio::spawn(world.clone().produce(arguments.seed));
    let ran = if plan.calm { hand_over(&world, count).await } else { run_faults(&world, count, arguments).await };
    let last_fault = Instant::now();
    let report = match ran {
        Ok(done) => {
            let panels: Vec<_> = world.panels.iter().map(|panel| &**panel).collect();
            let ((), leader_after) = tokio::join!(world.recover(&panels), report::leader_after(&world, last_fault));
            world.wait_until_healthy().await?;
            // The last changes and fetches are those of servers that nothing disturbs.
            sleep(if count < LONG { Duration::from_secs(2) } else { Duration::from_secs(30) }).await;
            changing.abort();
            producing.abort();
            fetching.abort();
            let report = report::collect(&world, &done, leader_after, count >= LONG).await;
            report.inspect(|report| report.print(TTL))
        }
        Err(error) => Err(error),
    };
    if let Some(logs) = &arguments.logs {
        std::fs::create_dir_all(logs)?;
        for entry in std::fs::read_dir(folder.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "log")
                && let Some(name) = path.file_name()
            {
                let stage = if plan.sentinels { "sentinels" } else { "one-redis" };
                let stage = if plan.calm { "calm" } else { stage };
                std::fs::copy(&path, logs.join(format!("{stage}-{}", name.to_string_lossy())))?;
            }
        }
    }
    report
}

/// Terminates the leader `count` times, each time when all panels are healthy.
async fn hand_over(world: &Arc<World>, count: u64) -> Result<BTreeMap<Kind, u64>> {
    let mut rng = StdRng::seed_from_u64(count);
    for _ in 0..count {
        world.wait_until_healthy().await?;
        // The other panels listen for the lease by then, at a random moment of a slot.
        sleep(Duration::from_millis(rng.random_range(500..1_500))).await;
        let leader = world.witness.leader().context("no panel leads")?;
        let leader =
            world.panels.iter().find(|panel| panel.name == leader).context("the leader is not one of the panels")?;
        faults::terminated(world, &**leader).await?;
    }
    Ok(BTreeMap::from([(Kind::ProcessTerminated, count)]))
}

/// Injects `count` faults one after the other, in three of ten cases two at once.
async fn run_faults(world: &Arc<World>, count: u64, arguments: &Arguments) -> Result<BTreeMap<Kind, u64>> {
    let mut rng = StdRng::seed_from_u64(arguments.seed);
    let kinds = if world.sentinels.is_some() { WITH_SENTINELS } else { WITH_ONE_REDIS };
    let mut bag: Vec<Kind> = Vec::new();
    let mut done: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut under_way = JoinSet::new();
    let (mut injected, mut failed) = (0, 0);
    while injected < count {
        if bag.is_empty() {
            // Each kind occurs once before any kind occurs again.
            let is_wanted = |kind: &Kind| arguments.only.is_empty() || arguments.only.contains(kind);
            let is_possible = |kind: &Kind| !kind.needs_small_disks() || world.has_small_disks();
            let is_fit = |kind: &Kind| count >= LONG || !arguments.only.is_empty() || !kind.is_by_chance();
            let is_first = injected == 0 && world.sentinels.is_none() && arguments.only.is_empty();
            let kinds = if is_first { FIRST } else { kinds };
            bag = kinds.iter().copied().filter(|kind| is_wanted(kind) && is_possible(kind) && is_fit(kind)).collect();
            ensure!(!bag.is_empty(), "none of these faults is possible here");
        }
        let kind = bag.swap_remove(rng.random_range(0..bag.len()));
        let (fault_world, fault_seed) = (world.clone(), rng.random());
        println!("{:7.1} s  {kind:?}; {:?} leads", world.witness.seconds(), world.witness.leader());
        under_way.spawn(async move { (kind, inject(kind, fault_world, fault_seed).await) });
        let most = usize::from(rng.random_bool(0.3));
        while under_way.len() > most {
            let Some(ended) = under_way.join_next().await else { break };
            let (kind, injection) = ended?;
            match injection {
                Ok(true) => {
                    *done.entry(kind).or_default() += 1;
                    injected += 1;
                }
                Ok(false) => {}
                // One of two concurrent faults may need a server that the other one stopped.
                Err(error) => {
                    println!("{:7.1} s  {kind:?} could not be injected: {error:#}", world.witness.seconds());
                    failed += 1;
                    ensure!(failed < 10 + count / 10, "too many faults could not be injected");
                }
            }
        }
        sleep(Duration::from_millis(rng.random_range(200..1_500))).await;
    }
    while let Some(ended) = under_way.join_next().await {
        let (kind, injection) = ended?;
        if matches!(injection, Ok(true)) {
            *done.entry(kind).or_default() += 1;
        }
    }
    Ok(done)
}
