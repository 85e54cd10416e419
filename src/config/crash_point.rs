//! Where a test has the process die, as if by kill -9: `SARBAN_CRASH_AT` names one place. Only programs built for
//! development look; in a release there is nothing of it.

/// The places on the way of usage at which it must make no difference, or a difference that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A node is about to be asked.
    BeforeRpc,
    /// Its reply is in memory and nowhere else.
    AfterReply,
    /// The reply is spooled.
    AfterSpool,
    /// The batch is in the database, and the spool does not know.
    AfterBatch,
    /// The batch is applied, and not committed.
    InsideApply,
    /// The batch is applied, and nobody was told.
    AfterCommit,
}

/// In `SARBAN_CRASH_AT`: the process lives, and its scheduler's loop gets stuck after its first round.
#[cfg(debug_assertions)]
pub const STUCK_LOOP: &str = "stuck_loop";

/// Where this process is to die, if anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrashPoint {
    #[cfg(debug_assertions)]
    at: Option<Place>,
    #[cfg(debug_assertions)]
    loop_sticks: bool,
}

impl Place {
    /// All, in the order in which usage passes them.
    pub const ALL: [Self; 6] =
        [Self::BeforeRpc, Self::AfterReply, Self::AfterSpool, Self::AfterBatch, Self::InsideApply, Self::AfterCommit];

    /// The name in `SARBAN_CRASH_AT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeRpc => "before_rpc",
            Self::AfterReply => "after_reply",
            Self::AfterSpool => "after_spool",
            Self::AfterBatch => "after_batch",
            Self::InsideApply => "inside_apply",
            Self::AfterCommit => "after_commit",
        }
    }
}

#[cfg(debug_assertions)]
impl CrashPoint {
    /// As the environment says.
    pub fn from_environment() -> Self {
        let name = std::env::vars_os().find(|(name, _)| name == "SARBAN_CRASH_AT").map(|(_, value)| value);
        let is = |place: &str| name.as_deref() == Some(place.as_ref());
        Self { at: Place::ALL.into_iter().find(|place| is(place.name())), loop_sticks: is(STUCK_LOOP) }
    }

    /// Never comes back where the scheduler's loop is to get stuck.
    pub async fn pass_loop(self) {
        if self.loop_sticks {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the process if this is the place.
    pub fn pass(self, place: Place) {
        if self.at == Some(place) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

#[cfg(not(debug_assertions))]
impl CrashPoint {
    /// Nowhere.
    pub const fn from_environment() -> Self {
        Self {}
    }

    /// Goes on.
    pub const fn pass(self, _: Place) {}

    /// Goes on.
    pub async fn pass_loop(self) {}
}
