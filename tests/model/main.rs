//! The protocol of the lease, model-checked: the real one holds in every order of steps, and the designs that are known
//! to be wrong are found out. `make model` takes three candidates; as a part of the tests it takes two.
#![allow(missing_docs, clippy::print_stdout, reason = "a program for tests")]

mod protocol;

use std::process::ExitCode;

use clap::Parser;
use protocol::{CURRENT, DEPOSED, Design, Fence, ONCE, Protocol, REFUSED, WORKS};
use stateright::{Checker, Model};

/// Walks through every order of steps of the lease's protocol.
#[derive(Parser)]
struct Arguments {
    /// Candidates for the lease
    #[arg(long, default_value_t = 2)]
    candidates: usize,
    /// Slots to run
    #[arg(long, default_value_t = 2)]
    slots: u8,
    /// How often the lock is taken, in all
    #[arg(long, default_value_t = 3)]
    attempts: u8,
    /// Arguments that `cargo test` passes on
    #[arg(hide = true)]
    _filters: Vec<String>,
}

/// A design, and what it must be caught at.
const DESIGNS: [(&str, Design, &[&str]); 6] = [
    ("the protocol", Design::REAL, &[]),
    (
        "a lock alone",
        Design { fence: Fence::Absent, conditional: false, lease_row: false, ledger: false },
        &[ONCE, CURRENT],
    ),
    (
        "a lock and a ledger",
        Design { fence: Fence::Absent, conditional: false, lease_row: false, ledger: true },
        &[CURRENT],
    ),
    ("without the ledger", Design { ledger: false, ..Design::REAL }, &[ONCE]),
    (
        "an epoch that is raised without a condition",
        Design { conditional: false, lease_row: false, ..Design::REAL },
        &[DEPOSED],
    ),
    (
        "a token that Redis counts",
        Design { fence: Fence::RedisToken, conditional: false, lease_row: false, ledger: true },
        &[CURRENT, REFUSED],
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut right = true;
    for (name, design, faults) in DESIGNS {
        let model =
            Protocol { design, candidates: arguments.candidates, slots: arguments.slots, attempts: arguments.attempts };
        let checker = model.checker().threads(2).spawn_bfs().join();
        println!("{name}: {} states, {} steps at most", checker.unique_state_count(), checker.max_depth());
        let found = checker.discoveries();
        for (property, path) in &found {
            if *property != WORKS {
                let steps: Vec<String> = path.clone().into_actions().iter().map(|step| format!("{step:?}")).collect();
                println!("  not so: {property}\n    {}", steps.join(", "));
            }
        }
        for fault in faults {
            if !found.contains_key(fault) {
                println!("  MISSED: {fault}");
                right = false;
            }
        }
        if faults.is_empty() && found.len() != usize::from(found.contains_key(WORKS)) {
            println!("  BROKEN");
            right = false;
        }
        if faults.is_empty() && !found.contains_key(WORKS) {
            println!("  IDLE: {WORKS} never comes to be");
            right = false;
        }
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
