//! The programs under test: one, or two versions that the starts of each server take in turn, as in an upgrade that goes back and forth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// The program that commands are run with, and the one beside it.
pub struct Programs {
    pub program: PathBuf,
    older: Option<PathBuf>,
    /// Start of the run.
    pub began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the name of a server, whether its next start is one of the older program.
    next_is_older: BTreeMap<String, bool>,
    starts: Starts,
}

/// Number of starts of panels and edges, by the program.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Starts {
    pub program: u64,
    pub older: u64,
}

impl Programs {
    pub fn new(program: PathBuf, older: Option<PathBuf>) -> Self {
        Self { program, older, began: Instant::now(), state: Mutex::default() }
    }

    /// Returns the program for the next start of a server. Of two, it is another one than at the start before, and every second server
    /// begins with the older one.
    pub fn next(&self, server: &str) -> &Path {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(older) = &self.older else {
            state.starts.program += 1;
            return &self.program;
        };
        let begins_older = state.next_is_older.len() % 2 == 1;
        let next_is_older = state.next_is_older.entry(server.to_owned()).or_insert(begins_older);
        let is_older = *next_is_older;
        *next_is_older = !is_older;
        let seconds = self.began.elapsed().as_secs_f64();
        println!("{seconds:7.1} s  {server} starts with the {} program", if is_older { "older" } else { "newer" });
        if is_older {
            state.starts.older += 1;
            older
        } else {
            state.starts.program += 1;
            &self.program
        }
    }

    pub fn starts(&self) -> Starts {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).starts
    }
}
