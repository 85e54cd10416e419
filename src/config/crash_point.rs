//! Crash injection for tests: the process kills itself at the point that `SARBAN_CRASH_AT` names. Only debug builds
//! read the variable.

/// The points on the way of a usage batch, from the node to the committed totals, at which a test can crash the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageStep {
    /// The node has not been asked yet.
    BeforeRpc,
    /// The reply is only in memory.
    AfterReply,
    /// The reply is in the spool.
    AfterSpool,
    /// The batch is staged in the database, and still in the spool.
    AfterBatch,
    /// The batch is applied in a transaction that is not committed.
    InsideApply,
    /// The batch is applied and committed; nodes and other hosts have not been notified.
    AfterCommit,
}

/// Value of `SARBAN_CRASH_AT` that makes the scheduler's loop hang after its first pass, in place of a crash.
#[cfg(debug_assertions)]
pub const STUCK_LOOP: &str = "stuck_loop";

/// The point at which this process crashes, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrashPoint {
    #[cfg(debug_assertions)]
    at: Option<UsageStep>,
    #[cfg(debug_assertions)]
    loop_hangs: bool,
}

impl UsageStep {
    /// All steps, in the order in which a batch passes them.
    pub const ALL: [Self; 6] =
        [Self::BeforeRpc, Self::AfterReply, Self::AfterSpool, Self::AfterBatch, Self::InsideApply, Self::AfterCommit];

    /// Its name in `SARBAN_CRASH_AT`.
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
    /// Reads `SARBAN_CRASH_AT`.
    pub fn from_environment() -> Self {
        let value = std::env::vars_os().find(|(name, _)| name == "SARBAN_CRASH_AT").map(|(_, value)| value);
        let is = |name: &str| value.as_deref() == Some(name.as_ref());
        Self { at: UsageStep::ALL.into_iter().find(|step| is(step.name())), loop_hangs: is(STUCK_LOOP) }
    }

    /// Hangs forever when `SARBAN_CRASH_AT` is [`STUCK_LOOP`].
    pub async fn pass_loop(self) {
        if self.loop_hangs {
            std::future::pending::<()>().await;
        }
    }

    /// Kills the process (SIGKILL) if this step is the crash point.
    pub fn pass(self, step: UsageStep) {
        if self.at == Some(step) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

#[cfg(not(debug_assertions))]
impl CrashPoint {
    /// A release build has no crash point.
    pub const fn from_environment() -> Self {
        Self {}
    }

    /// Does nothing in a release build.
    pub const fn pass(self, _: UsageStep) {}

    /// Does nothing in a release build.
    pub async fn pass_loop(self) {}
}
