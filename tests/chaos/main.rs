//! Chaos: real panels, a real PostgreSQL and Redis of the harness's own, and every fault that they must survive. The
//! invariants of the coordination are checked from what was committed.
//!
//! `make chaos` runs it for as long as is asked; without arguments it runs for about a minute, as a part of the tests.
#![allow(missing_docs, clippy::print_stdout, clippy::expect_used, reason = "a program for tests")]

mod faults;
mod panels;
mod proxy;
mod verdict;
mod witness;
mod world;

#[path = "../support/ports.rs"]
mod ports;
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

use faults::{Kind, WITH_ONE_REDIS, WITH_SENTINELS, inject};
use verdict::Verdict;
use witness::Part;
use world::{Plan, World};

/// Injects faults into a running cluster and checks that it keeps its promises.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    /// Decides which faults come when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of faults with one Redis
    #[arg(long, default_value_t = 12)]
    faults: u64,
    /// And so many with Sentinels
    #[arg(long, default_value_t = 4)]
    sentinel_faults: u64,
    /// And so many times hands over in good order on a cluster that nothing befalls and nothing slows down
    #[arg(long, default_value_t = 0)]
    hand_overs: u64,
    /// Processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=5))]
    panels: u8,
    /// Leaves a part of the protocol out: the run must then fail, and succeeds by it
    #[arg(long, value_enum)]
    without: Option<Part>,
    /// Injects nothing but these, as they are called in the result
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// The panel's program
    #[arg(long, default_value = env!("CARGO_BIN_EXE_sarban"))]
    program: PathBuf,
    /// Where to write the result as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Keeps the logs there
    #[arg(long)]
    logs: Option<PathBuf>,
    /// Arguments that `cargo test` passes on
    #[arg(hide = true)]
    _filters: Vec<String>,
}

const TTL: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // More than faults at a time: the wait for a killed server's end must not hold up the ways to the others.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let run = async { runtime_run(&arguments).await };
    match runtime.expect("a runtime").block_on(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:?}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests have no settings: `make test` tells them where PostgreSQL is")]
async fn runtime_run(arguments: &Arguments) -> Result<bool> {
    let bin = std::env::var("SARBAN_TEST_POSTGRES_BIN").context("SARBAN_TEST_POSTGRES_BIN: run `make chaos`")?;
    let mut verdicts = Vec::new();
    let plan =
        Plan { panels: arguments.panels.into(), ttl: TTL, sentinels: false, calm: false, without: arguments.without };
    let stages = [
        ("one_redis", plan, arguments.faults),
        ("sentinels", Plan { sentinels: true, ..plan }, arguments.sentinel_faults),
        ("calm", Plan { calm: true, ..plan }, arguments.hand_overs),
    ];
    for (name, plan, count) in stages {
        if count > 0 {
            verdicts.push((name, stage(plan, count, arguments, bin.clone()).await?));
        }
    }
    if let Some(path) = &arguments.json {
        let stages: BTreeMap<&str, &Verdict> = verdicts.iter().map(|(name, verdict)| (*name, verdict)).collect();
        let whole = serde_json::json!({"seed": arguments.seed, "panels": arguments.panels, "ttl_seconds": TTL.as_secs(),
            "without": arguments.without.map(|part| format!("{part:?}")), "stages": stages});
        std::fs::write(path, format!("{whole:#}\n"))?;
    }
    let holds = verdicts.iter().all(|(_, verdict)| verdict.broken(TTL).is_empty());
    if arguments.without.is_some() && holds {
        println!("Nothing broke, although a part of the protocol was left out: the harness can't see what it should.");
    }
    Ok(holds == arguments.without.is_none())
}

async fn stage(plan: Plan, count: u64, arguments: &Arguments, bin: String) -> Result<Verdict> {
    let folder = servers::open_folder()?;
    println!("{plan:?}, seed {}, {count} faults, in {}", arguments.seed, folder.path().display());
    let world = Arc::new(World::build(plan, &folder, bin, arguments.program.clone()).await?);
    if !world.has_small_disk() {
        println!("This host lets nobody mount a small disk: the spool is not filled.");
    }
    let changing = tokio::spawn(world.clone().change_users(arguments.seed));
    tokio::spawn(world.clone().keep_running());
    let producing = tokio::spawn(world.clone().produce(arguments.seed));
    let ran = if plan.calm { hand_over(&world, count).await } else { run_faults(&world, count, arguments).await };
    let last_fault = Instant::now();
    let verdict = match ran {
        Ok(done) => {
            changing.abort();
            producing.abort();
            let verdict = verdict::judge(&world, &done, last_fault).await;
            verdict.inspect(|verdict| verdict.print(TTL))
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
    verdict
}

/// Terminates the leader again and again, each time when everybody is well.
async fn hand_over(world: &Arc<World>, count: u64) -> Result<BTreeMap<Kind, u64>> {
    let mut rng = StdRng::seed_from_u64(count);
    for _ in 0..count {
        world.everybody_runs().await?;
        // The others listen by then, and it may be any moment of a slot.
        sleep(Duration::from_millis(rng.random_range(500..1_500))).await;
        let leader = world.witness.leader().context("nobody leads")?;
        let leader = world.panels.iter().find(|panel| panel.name == leader).context("a stranger leads")?;
        faults::terminated(world, leader).await?;
    }
    Ok(BTreeMap::from([(Kind::ProcessTerminated, count)]))
}

/// One after the other, and now and then two at once.
async fn run_faults(world: &Arc<World>, count: u64, arguments: &Arguments) -> Result<BTreeMap<Kind, u64>> {
    let mut rng = StdRng::seed_from_u64(arguments.seed);
    let kinds = if world.sentinels.is_some() { WITH_SENTINELS } else { WITH_ONE_REDIS };
    let mut bag: Vec<Kind> = Vec::new();
    let mut done: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut under_way = JoinSet::new();
    let (mut injected, mut failed) = (0, 0);
    while injected < count {
        if bag.is_empty() {
            // Each kind as often as any other.
            let is_wanted = |kind: &Kind| arguments.only.is_empty() || arguments.only.contains(kind);
            let is_possible = |kind: &Kind| *kind != Kind::SpoolFull || world.has_small_disk();
            bag = kinds.iter().copied().filter(|kind| is_wanted(kind) && is_possible(kind)).collect();
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
                // Two faults at once: the second one needs what the first one took away.
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
