//! The kinds of faults, and which of them a run has.

/// A kind of fault, by the name that results and `--only` use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Kind {
    ProcessKilled,
    ProcessTerminated,
    ProcessStoppedHalfTtl,
    ProcessStopped11Ttl,
    ProcessStopped22Ttl,
    ProcessStoppedInTransaction,
    ProcessesAllTerminated,
    WorkersBlocked,
    LeaseThreadBlocked,
    RedisStoppedHalfTtl,
    RedisStopped11Ttl,
    RedisStopped22Ttl,
    RedisKilledKeepsData,
    RedisKilledLosesData,
    RedisFlushed,
    RedisClientPause,
    SentinelFailover,
    BackendStoppedHalfTtl,
    BackendStopped11Ttl,
    BackendStopped22Ttl,
    BackendsTerminated,
    DatabaseRestarted,
    DatabaseCrashed,
    DatabaseFull,
    DatabaseWayHeld,
    DatabaseWayHeldOneWay,
    DatabaseWayDelayed,
    DatabaseWayHalfOpen,
    DatabaseWayCut,
    DatabaseWayDown,
    DatabaseWayLost,
    DatabaseHostLost,
    RedisWayHeld,
    RedisWayHeldOneWay,
    RedisWayDelayed,
    RedisWayHalfOpen,
    RedisWayCut,
    RedisWayDown,
    RedisWayLost,
    NodeWayHeld,
    NodeWayDelayed,
    NodeWayLost,
    SpoolFull,
    CopyFileDamaged,
    CopyFileDeleted,
    CopyDiskFull,
    DatabaseReadOnly,
    EdgeKilled,
    EdgeTerminated,
    EdgeStopped22Ttl,
    EdgeFileDamaged,
    EdgeFileDeleted,
    EdgeDiskFull,
    EdgeWayHeld,
    EdgeWayHalfOpen,
    EdgeWayCut,
    EdgeWayDown,
    EdgeWayLost,
    BackUpKilled,
    BackUpDiskFull,
    BackUpUnderFaults,
    ScheduledBackUpKilled,
}

use Kind::{
    BackUpDiskFull, BackUpKilled, BackUpUnderFaults, BackendStopped11Ttl, BackendStopped22Ttl, BackendStoppedHalfTtl,
    BackendsTerminated, CopyDiskFull, CopyFileDamaged, CopyFileDeleted, DatabaseCrashed, DatabaseFull,
    DatabaseHostLost, DatabaseReadOnly, DatabaseRestarted, DatabaseWayCut, DatabaseWayDelayed, DatabaseWayDown,
    DatabaseWayHalfOpen, DatabaseWayHeld, DatabaseWayHeldOneWay, DatabaseWayLost, EdgeDiskFull, EdgeFileDamaged,
    EdgeFileDeleted, EdgeKilled, EdgeStopped22Ttl, EdgeTerminated, EdgeWayCut, EdgeWayDown, EdgeWayHalfOpen,
    EdgeWayHeld, EdgeWayLost, LeaseThreadBlocked, NodeWayDelayed, NodeWayHeld, NodeWayLost, ProcessKilled,
    ProcessStopped11Ttl, ProcessStopped22Ttl, ProcessStoppedHalfTtl, ProcessStoppedInTransaction, ProcessTerminated,
    ProcessesAllTerminated, RedisClientPause, RedisFlushed, RedisKilledKeepsData, RedisKilledLosesData,
    RedisStopped11Ttl, RedisStopped22Ttl, RedisStoppedHalfTtl, RedisWayCut, RedisWayDelayed, RedisWayDown,
    RedisWayHalfOpen, RedisWayHeld, RedisWayHeldOneWay, RedisWayLost, ScheduledBackUpKilled, SentinelFailover,
    SpoolFull, WorkersBlocked,
};

impl Kind {
    /// True for faults that fill a disk.
    pub const fn needs_small_disks(self) -> bool {
        matches!(self, SpoolFull | CopyDiskFull | EdgeDiskFull | BackUpDiskFull)
    }

    /// True for faults whose outcome depends on which bytes they hit: a short run, which must not fail by chance, has none of them.
    pub const fn is_by_chance(self) -> bool {
        matches!(self, CopyFileDamaged | CopyDiskFull | EdgeFileDamaged | EdgeDiskFull)
    }

    /// False for faults that can't make a change of a user reach panels and edges later.
    pub fn disturbs_subscriptions(self) -> bool {
        let name = format!("{self:?}");
        !(["Redis", "Node", "Sentinel", "Spool", "BackUp"].iter().any(|part| name.starts_with(part)))
    }
}

/// Faults of the stage with one Redis.
pub const WITH_ONE_REDIS: &[Kind] = &[
    ProcessKilled,
    ProcessTerminated,
    ProcessStoppedHalfTtl,
    ProcessStopped11Ttl,
    ProcessStopped22Ttl,
    ProcessStoppedInTransaction,
    ProcessesAllTerminated,
    WorkersBlocked,
    LeaseThreadBlocked,
    RedisStoppedHalfTtl,
    RedisStopped11Ttl,
    RedisStopped22Ttl,
    RedisKilledKeepsData,
    RedisKilledLosesData,
    RedisFlushed,
    RedisClientPause,
    BackendStoppedHalfTtl,
    BackendStopped11Ttl,
    BackendStopped22Ttl,
    BackendsTerminated,
    DatabaseRestarted,
    DatabaseCrashed,
    DatabaseFull,
    DatabaseWayHeld,
    DatabaseWayHeldOneWay,
    DatabaseWayDelayed,
    DatabaseWayHalfOpen,
    DatabaseWayCut,
    DatabaseWayDown,
    DatabaseWayLost,
    DatabaseHostLost,
    RedisWayHeld,
    RedisWayHeldOneWay,
    RedisWayDelayed,
    RedisWayHalfOpen,
    RedisWayCut,
    RedisWayDown,
    RedisWayLost,
    NodeWayHeld,
    NodeWayDelayed,
    NodeWayLost,
    SpoolFull,
    CopyFileDamaged,
    CopyFileDeleted,
    CopyDiskFull,
    DatabaseReadOnly,
    EdgeKilled,
    EdgeTerminated,
    EdgeStopped22Ttl,
    EdgeFileDamaged,
    EdgeFileDeleted,
    EdgeDiskFull,
    EdgeWayHeld,
    EdgeWayHalfOpen,
    EdgeWayCut,
    EdgeWayDown,
    EdgeWayLost,
    BackUpKilled,
    BackUpDiskFull,
    BackUpUnderFaults,
    ScheduledBackUpKilled,
];

/// The first faults of every run with one Redis: those that leave connections open and silent, and those of copies, edges and
/// back-ups of which even a short run should have one.
pub const FIRST: &[Kind] = &[
    DatabaseWayLost,
    DatabaseHostLost,
    RedisWayLost,
    NodeWayLost,
    DatabaseReadOnly,
    CopyFileDeleted,
    EdgeKilled,
    BackUpKilled,
];

/// Faults of the stage with Sentinels. A fault of a Redis proxy is not possible: clients connect to the address that a
/// Sentinel returns.
pub const WITH_SENTINELS: &[Kind] = &[
    SentinelFailover,
    ProcessKilled,
    ProcessTerminated,
    ProcessStopped11Ttl,
    SentinelFailover,
    ProcessStopped22Ttl,
    ProcessStoppedInTransaction,
    WorkersBlocked,
    RedisFlushed,
    RedisClientPause,
    SentinelFailover,
    BackendsTerminated,
    DatabaseCrashed,
    DatabaseWayHeld,
    CopyFileDamaged,
    EdgeKilled,
    EdgeWayHeld,
    ScheduledBackUpKilled,
];
