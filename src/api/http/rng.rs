//! SharedRng for requests: one generator, seeded from outside, that others are taken from.

use std::fmt;
use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{CryptoRng, SeedableRng};

use crate::foundation::lock;

/// Makes generators.
pub struct SharedRng(Mutex<StdRng>);

impl SharedRng {
    /// From a seed that `rng` gives.
    pub fn new(rng: &mut impl CryptoRng) -> Self {
        Self(Mutex::new(StdRng::from_rng(rng)))
    }

    /// A generator of one request's own.
    pub fn fork(&self) -> StdRng {
        StdRng::from_rng(&mut *lock(&self.0))
    }
}

impl fmt::Debug for SharedRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRng")
    }
}
