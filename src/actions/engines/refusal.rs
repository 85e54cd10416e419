//! The result of a change that an engine refused.

use std::fmt;

/// A configuration with which an engine does not run.
#[derive(Debug)]
pub struct Refusal {
    /// Why, in the engine's or the node's own words.
    pub words: String,
    /// The configuration that the node had before.
    pub former: Former,
}

/// The state of the configuration that a node had before a change that failed.
#[derive(Debug)]
pub enum Former {
    /// In place again, and the engine runs.
    Runs,
    /// In place again, and the engine does not run with it either. Its words.
    Ended(String),
    /// Could not be put back yet; the leader tries again. The reason.
    Lost(String),
    /// The change took so long that another panel may have taken the node over, and sees to it.
    TakenOver,
    /// The node could not say which configuration it had, and the panel stored none.
    Unknown,
    /// Equal to the refused one.
    Same,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { words, former } = self;
        write!(f, "the engine does not run with this configuration: {words}; {former}")
    }
}

impl fmt::Display for Former {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => f.write_str("the former configuration is in place again, and the engine runs"),
            Self::Ended(words) => {
                let text = "the former configuration is in place again, but the engine does not run with it either";
                write!(f, "{text}: {words}")
            }
            Self::Lost(reason) => write!(
                f,
                "the former configuration could not be put back: {reason}; the panel tries again when the node answers"
            ),
            Self::TakenOver => {
                f.write_str("another panel has taken the node over and puts the former configuration back")
            }
            Self::Unknown => f.write_str("there is no former configuration to put back"),
            Self::Same => f.write_str("it is the configuration that the node had before"),
        }
    }
}
