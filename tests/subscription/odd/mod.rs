//! Hosts and inbounds with odd values of every kind in every field, in every format: no program refuses what is written.

mod hosts;
mod judges;

use hosts::Odd;

/// Hosts in a document.
const HOSTS: usize = 150;
/// The seeds of the documents. `SARBAN_ODD_SEEDS="1000 50"` tries fifty others, from 1000 on.
const SEEDS: (u64, u64) = (1, 2);

#[expect(clippy::disallowed_methods, reason = "only this test reads the variable")]
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("SARBAN_ODD_SEEDS").unwrap_or_default();
    let numbers = asked.split_once(' ').and_then(|(first, number)| Some((first.parse().ok()?, number.parse().ok()?)));
    let (first, number): (u64, u64) = numbers.unwrap_or(SEEDS);
    first..first + number
}

#[test]
fn no_program_refuses_what_is_written_for_odd_values() {
    let mut refusals = Vec::new();
    for seed in seeds() {
        let found = judges::refusals(&Odd::new(seed).hosts(HOSTS));
        println!("seed {seed}: {} refusals\n{}", found.len(), found.join("\n"));
        refusals.extend(found.into_iter().map(|refusal| format!("seed {seed}: {refusal}")));
    }
    assert!(refusals.is_empty(), "{} refusals:\n{}", refusals.len(), refusals.join("\n"));
}
