//! The number of worker threads of a process, and its reason.

use std::fmt;

/// The most threads that the formula gives: with more, the database is the bottleneck.
const MOST_BY_FORMULA: usize = 8;

/// The worker threads of a process with the reason for their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// The number of threads.
    pub threads: usize,
    /// The reason for the number.
    pub reason: Reason,
}

/// The reason for a number of worker threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `DEBUG=true`: one thread, which makes faults easier to follow.
    Debug,
    /// Set by `UVICORN_WORKERS`.
    ByHand,
    /// One core: more threads would not run at the same time.
    OneCore,
    /// Two per core plus one.
    Formula {
        /// The cores that the process may use.
        cores: usize,
    },
    /// The formula's result was limited.
    Capped {
        /// The cores that the process may use.
        cores: usize,
    },
}

impl Workers {
    /// Chooses the number. `cores` are those that the process may use; `by_hand` is `UVICORN_WORKERS`.
    pub fn plan(cores: usize, by_hand: Option<usize>, debug: bool) -> Self {
        if debug {
            return Self { threads: 1, reason: Reason::Debug };
        }
        if let Some(threads) = by_hand {
            return Self { threads, reason: Reason::ByHand };
        }
        if cores <= 1 {
            return Self { threads: 1, reason: Reason::OneCore };
        }
        match cores.saturating_mul(2).saturating_add(1) {
            threads if threads > MOST_BY_FORMULA => Self { threads: MOST_BY_FORMULA, reason: Reason::Capped { cores } },
            threads => Self { threads, reason: Reason::Formula { cores } },
        }
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        write!(f, "{} worker {threads}: {}", self.threads, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debug => f.write_str("DEBUG is on"),
            Self::ByHand => f.write_str("set by UVICORN_WORKERS"),
            Self::OneCore => f.write_str("one core"),
            Self::Formula { cores } => write!(f, "2 x {cores} cores + 1"),
            Self::Capped { cores } => write!(f, "2 x {cores} cores + 1, at most {MOST_BY_FORMULA}"),
        }
    }
}

/// The default number of requests in progress: enough to keep all threads and database connections busy, and few enough
/// for short waits.
pub const fn requests_at_once(threads: usize, connections: u32) -> usize {
    8 * (threads + connections as usize)
}

/// Whole cores from the processors that a process may run on and its CPU quota, as (time, period) in the same unit.
///
/// A part of a core counts as a core: under a quota of 1.5 cores two threads run in parallel until the period's time is
/// used up, while one thread would leave a third of the quota unused.
pub fn whole_cores(affinity: usize, quota: Option<(u64, u64)>) -> usize {
    let by_quota = match quota {
        Some((time, period)) if period > 0 => usize::try_from(time.div_ceil(period)).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    affinity.min(by_quota).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_follow_the_cores() {
        for (cores, threads) in [(0, 1), (1, 1), (2, 5), (3, 7), (4, 8), (8, 8), (usize::MAX, 8)] {
            assert_eq!(Workers::plan(cores, None, false).threads, threads, "{cores} cores");
        }
    }

    #[test]
    fn configured_number_is_used_unless_debug_is_on() {
        assert_eq!(Workers::plan(2, Some(512), false), Workers { threads: 512, reason: Reason::ByHand });
        assert_eq!(Workers::plan(1, Some(3), false).threads, 3);
        assert_eq!(Workers::plan(8, Some(4), true), Workers { threads: 1, reason: Reason::Debug });
    }

    #[test]
    fn display_names_the_reason() {
        assert_eq!(Workers::plan(2, None, false).to_string(), "5 worker threads: 2 x 2 cores + 1");
        assert_eq!(Workers::plan(16, None, false).to_string(), "8 worker threads: 2 x 16 cores + 1, at most 8");
        assert_eq!(Workers::plan(1, None, false).to_string(), "1 worker thread: one core");
    }

    #[test]
    fn part_of_a_core_counts_as_a_core() {
        assert_eq!(whole_cores(8, None), 8);
        assert_eq!(whole_cores(8, Some((150_000, 100_000))), 2);
        assert_eq!(whole_cores(8, Some((200_000, 100_000))), 2);
        assert_eq!(whole_cores(8, Some((5_000, 100_000))), 1);
        assert_eq!(whole_cores(2, Some((400_000, 100_000))), 2, "a quota adds no processors");
        assert_eq!(whole_cores(0, Some((0, 0))), 1);
    }
}
