//! The bounds of open connections, from the file descriptors of the process.

use rustix::process::{Resource, getrlimit};

/// The most connections of a process with enough descriptors: each takes some ten kilobytes.
const MOST: usize = 10_000;
/// The bounds of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all clients.
    pub all: usize,
    /// Connections beyond them that get answers to probes only.
    pub for_probes: usize,
    /// Connections of one address.
    pub per_address: usize,
}

impl Limits {
    /// Gives half of the process's descriptors to connections.
    pub fn of_process() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| most as usize);
        Self::of((descriptors / 2).clamp(16, MOST))
    }

    /// A quarter of these connections for one address.
    pub fn of(all: usize) -> Self {
        Self { all, for_probes: (all / 16).clamp(2, 64), per_address: (all / 4).max(1) }
    }

    /// The bounds of connections whose TLS handshake is not finished; they are beside the others.
    pub(super) fn for_handshakes(self) -> Self {
        Self { for_probes: 0, ..Self::of((self.all / 4).clamp(1, 1_024)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_leave_descriptors_for_everything_else() {
        assert_eq!(Limits::of(128), Limits { all: 128, for_probes: 8, per_address: 32 });
        assert_eq!(Limits::of(128).for_handshakes(), Limits { all: 32, for_probes: 0, per_address: 8 });
        assert_eq!(Limits::of(MOST).for_handshakes().all, 1_024);
    }
}
