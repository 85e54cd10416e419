//! The lease row and the epoch row: who leads, by the database's word.
//!
//! "Now" is the database's clock on PostgreSQL, read by the statement that depends on it. On SQLite, whose clock is the
//! host's and can be set back, it is CLOCK_BOOTTIME, and a row of another boot counts as expired. It is read when the
//! transaction has its turn, and then passed to the statement: a process that is stopped in between only makes its own
//! claim to time shorter.

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_read, db_run, row, statements};
use crate::store::engine::{Db, Engine, StoreError};

/// The database's clock on PostgreSQL, microseconds. Its parameter is there for SQLite and is NULL here.
macro_rules! pg_now {
    ($parameter:literal) => {
        concat!(
            "COALESCE(CAST(",
            $parameter,
            " AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))"
        )
    };
}

macro_rules! is_free {
    ($now:expr, $boot_id:literal) => {
        concat!(
            "(released = TRUE OR boot_id <> ",
            $boot_id,
            " OR lease_until <= ",
            $now,
            " OR lease_until > ",
            $now,
            " + ttl)"
        )
    };
}

macro_rules! claim_lease {
    ($now:expr) => {
        concat!(
            "UPDATE scheduler_lease SET epoch = epoch + 1, holder = $2, host = $3, version = $4, ttl = $5,
                    lease_until = ",
            $now,
            " + $5, acquired_at = $7, released = FALSE, boot_id = $8
             WHERE id = 1 AND epoch = $1 AND ",
            is_free!($now, "$8")
        )
    };
}

macro_rules! renew {
    ($now:expr) => {
        concat!(
            "UPDATE scheduler_lease SET lease_until = ",
            $now,
            " + $4
             WHERE id = 1 AND epoch = $1 AND holder = $2 AND released = FALSE AND boot_id = $5 AND lease_until > ",
            $now
        )
    };
}

macro_rules! repair {
    ($now:expr) => {
        concat!(
            "UPDATE scheduler_lease SET epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1), released = TRUE
             WHERE id = 1 AND epoch = $1 AND epoch <> (SELECT epoch FROM scheduler_epoch WHERE id = 1) AND ",
            is_free!($now, "$2")
        )
    };
}

macro_rules! read_lease {
    ($now:expr) => {
        concat!(
            "SELECT l.epoch, e.epoch AS fence_epoch, l.holder, l.host, l.version, l.ttl, l.lease_until, l.acquired_at,
                    l.released, l.boot_id, ",
            $now,
            " AS now
             FROM scheduler_lease AS l, scheduler_epoch AS e WHERE l.id = 1 AND e.id = 1"
        )
    };
}

statements! {
    READ => pg read_lease!(pg_now!("$1")), lite read_lease!("CAST($1 AS INTEGER)");
    CLAIM_LEASE => pg claim_lease!(pg_now!("$6")), lite claim_lease!("$6");
    CLAIM_EPOCH = "UPDATE scheduler_epoch SET epoch = epoch + 1 WHERE id = 1 AND epoch = $1";
    RENEW => pg renew!(pg_now!("$3")), lite renew!("$3");
    RELEASE = "UPDATE scheduler_lease SET released = TRUE WHERE id = 1 AND epoch = $1 AND holder = $2";
    REPAIR => pg repair!(pg_now!("$3")), lite repair!("$3");
    TERMINATE_SESSIONS =>
        pg "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = $1 AND pid <> pg_backend_pid()",
        lite "SELECT 0 WHERE $1 IS NOT NULL";
}

/// Who wants the lease.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Unique per process start: never a host name or a pid.
    pub instance: Uuid,
    /// The label of this host.
    pub host: String,
    /// The program's version.
    pub version: String,
    /// For how long a renewal counts, microseconds.
    pub ttl: i64,
    /// SQLite only (else empty): the boot of this host.
    pub boot_id: String,
}

/// The lease as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The current term.
    pub epoch: Epoch,
    /// The fence's idea of it; differs only after somebody changed rows by hand.
    pub fence_epoch: Epoch,
    /// The instance that holds it, or held it last.
    pub holder: Option<Uuid>,
    /// Its host's label.
    pub host: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// When it was claimed (wall clock).
    pub acquired_at: Moment,
    /// Microseconds until it may be claimed by somebody else; 0 or less: now.
    pub remaining: i64,
}

row! {
    struct LeaseRow {
        epoch: i64,
        fence_epoch: i64,
        holder: Option<Uuid>,
        host: Option<String>,
        version: Option<String>,
        ttl: i64,
        lease_until: i64,
        acquired_at: i64,
        released: bool,
        boot_id: String,
        now: i64,
    }
}

/// Reads the lease.
pub async fn current(db: &Db, clock: &Clock, boot_id: &str) -> Result<Lease, StoreError> {
    let now = boot_time(db.engine(), clock);
    let row = db_read!(db, READ, |sql, c| query_as::<_, LeaseRow>(sql).bind(now).fetch_one(c).await)?;
    let free = row.released || row.boot_id != boot_id || row.lease_until > row.now + row.ttl;
    Ok(Lease {
        epoch: Epoch(row.epoch),
        fence_epoch: Epoch(row.fence_epoch),
        holder: row.holder,
        host: row.host,
        version: row.version,
        acquired_at: Moment::from_micros(row.acquired_at),
        remaining: if free { 0 } else { row.lease_until - row.now },
    })
}

/// Claims the term after `seen`, if the lease is free and nobody else claimed it since. An error leaves open whether
/// it happened: read again.
pub async fn claim(db: &Db, clock: &Clock, me: &Candidate, seen: Epoch) -> Result<bool, StoreError> {
    let mut tx = db.begin_first().await?;
    let now = boot_time(tx.engine(), clock);
    // Lease first, epoch second, nothing else: the fence of an open task transaction holds the epoch row.
    let lease = db_affected!(
        &mut tx,
        CLAIM_LEASE,
        seen.0,
        me.instance,
        &me.host,
        &me.version,
        me.ttl,
        now,
        clock.now().micros(),
        &me.boot_id
    )?;
    let epoch = db_affected!(&mut tx, CLAIM_EPOCH, seen.0)?;
    if lease != 1 || epoch != 1 {
        tx.rollback().await?;
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

/// Renews the lease of `epoch`. False: it is somebody else's, or was over before we came.
pub async fn renew(db: &Db, clock: &Clock, me: &Candidate, epoch: Epoch) -> Result<bool, StoreError> {
    let mut tx = db.begin_first().await?;
    let now = boot_time(tx.engine(), clock);
    let rows = db_affected!(&mut tx, RENEW, epoch.0, me.instance, now, me.ttl, &me.boot_id)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Gives the lease of `epoch` back, so that the next candidate need not wait.
pub async fn release(db: &Db, me: &Candidate, epoch: Epoch) -> Result<bool, StoreError> {
    let mut tx = db.begin_first().await?;
    let rows = db_affected!(&mut tx, RELEASE, epoch.0, me.instance)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Brings a lease row whose epoch is not the fence's back in line, as soon as it is free. The fence's epoch is right.
pub async fn repair(db: &Db, clock: &Clock, me: &Candidate, seen: Epoch) -> Result<bool, StoreError> {
    let mut tx = db.begin_first().await?;
    let now = boot_time(tx.engine(), clock);
    let rows = db_affected!(&mut tx, REPAIR, seen.0, &me.boot_id, now)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Terminates the PostgreSQL sessions of a deposed leader's tasks, where the role may. Returns how many.
pub async fn terminate_sessions(db: &Db, session_name: &str) -> Result<i64, StoreError> {
    let mut tx = db.begin_first().await?;
    let count = db_run!(&mut tx, TERMINATE_SESSIONS, |sql, c| {
        query_scalar::<_, i64>(sql).bind(session_name).fetch_one(c).await
    })?;
    tx.commit().await?;
    Ok(count)
}

/// What the statements' parameter for "now" gets: nothing where the database has a clock of its own.
fn boot_time(engine: Engine, clock: &Clock) -> Option<i64> {
    match engine {
        Engine::Postgres => None,
        Engine::Sqlite => Some(clock.boot().micros()),
    }
}
