//! The random number generator of requests: one is seeded at start, and each request forks its own from it.

use std::fmt;
use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use crate::foundation::lock;

/// A generator that others are forked from.
pub struct SharedRng(Mutex<StdRng>);

impl SharedRng {
    /// Takes the seed from `rng`.
    pub fn new(rng: &mut impl CryptoRng) -> Self {
        Self(Mutex::new(StdRng::from_rng(rng)))
    }

    /// Returns a generator for one request.
    pub fn fork(&self) -> StdRng {
        StdRng::from_rng(&mut *lock(&self.0))
    }
}

impl fmt::Debug for SharedRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRng")
    }
}
