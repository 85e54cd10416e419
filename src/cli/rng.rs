//! The source of randomness for commands.

use anyhow::Context;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

/// Returns a generator that is seeded by the operating system.
pub(super) fn seeded() -> anyhow::Result<StdRng> {
    StdRng::try_from_rng(&mut SysRng).context("could not read the system's random source")
}
