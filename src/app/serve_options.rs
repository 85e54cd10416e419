//! The options of `sarban serve` beside the settings.

use crate::domain::workers::Workers;

/// Options of the command line, and the sizes that the runtime was given.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// Apply pending migrations; otherwise refuse to start with any.
    pub migrate: bool,
    /// Take the listening socket over from the running process of this machine.
    pub take_over: bool,
    /// Worker threads of the runtime, for the log and the list of members.
    pub workers: Workers,
    /// Processor cores that this process may use.
    pub cores: f64,
}
