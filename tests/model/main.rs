//! Model-checks the protocol of the lease: the real design holds in every order of steps, and designs that are known to
//! be wrong are detected. `make model` has three candidates; as a part of the tests there are two.
#![allow(missing_docs, clippy::print_stdout, reason = "a program for tests")]

mod protocol;

use std::process::ExitCode;

use clap::Parser;
use protocol::{CURRENT, DEPOSED, Design, Fence, ONCE, Protocol, REFUSED, WORKS};
use stateright::{Checker, Model};

/// Checks every order of steps of the lease's protocol.
#[derive(Parser)]
struct Arguments {
    /// Number of candidates for the lease
    #[arg(long, default_value_t = 2)]
    candidates: usize,
    /// Number of slots to run
    #[arg(long, default_value_t = 2)]
    slots: u8,
    /// Number of times that the lock is taken, in total
    #[arg(long, default_value_t = 3)]
    attempts: u8,
    /// Arguments that `cargo test` passes on
    #[arg(hide = true)]
    _filters: Vec<String>,
}

/// Designs, each with the properties that it must violate.
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
        "an epoch that is increased without a condition",
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
    let mut is_right = true;
    for (name, design, violations) in DESIGNS {
        let model =
            Protocol { design, candidates: arguments.candidates, slots: arguments.slots, attempts: arguments.attempts };
        let checker = model.checker().threads(2).spawn_bfs().join();
        println!("{name}: {} states, {} steps at most", checker.unique_state_count(), checker.max_depth());
        let found = checker.discoveries();
        for (property, path) in &found {
            if *property != WORKS {
                let steps: Vec<String> = path.clone().into_actions().iter().map(|step| format!("{step:?}")).collect();
                println!("  violated: {property}\n    {}", steps.join(", "));
            }
        }
        for violation in violations {
            if !found.contains_key(violation) {
                println!("  NOT DETECTED: {violation}");
                is_right = false;
            }
        }
        if violations.is_empty() && found.len() != usize::from(found.contains_key(WORKS)) {
            println!("  VIOLATED");
            is_right = false;
        }
        if violations.is_empty() && !found.contains_key(WORKS) {
            println!("  NEVER REACHED: {WORKS}");
            is_right = false;
        }
    }
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
