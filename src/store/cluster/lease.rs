//! The lease row and the epoch row, which say who leads.
//!
//! On PostgreSQL "now" is the database's clock, read by the statement that depends on it. On SQLite it is CLOCK_BOOTTIME,
//! because the wall clock of the host can be set back; a row written before a reboot counts as expired. CLOCK_BOOTTIME is
//! read after the transaction has begun and then bound, so a process that is suspended in between claims less time, never
//! more.

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_read, db_run, row, statements};
use crate::store::engine::{Db, Engine, StoreError};

statements! {
    // On PostgreSQL the bind for "now" is NULL, and COALESCE takes the database's clock.
    READ =>
        pg "SELECT l.epoch, e.epoch AS fence_epoch, l.holder, l.host, l.version, l.ttl, l.lease_until, l.acquired_at,
                   l.released, l.boot_id,
                   COALESCE(CAST($1 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)) AS now
            FROM scheduler_lease AS l, scheduler_epoch AS e WHERE l.id = 1 AND e.id = 1",
        lite "SELECT l.epoch, e.epoch AS fence_epoch, l.holder, l.host, l.version, l.ttl, l.lease_until, l.acquired_at,
                     l.released, l.boot_id,
                     CAST($1 AS INTEGER) AS now
              FROM scheduler_lease AS l, scheduler_epoch AS e WHERE l.id = 1 AND e.id = 1";
    // A lease may be claimed when it was released, was written before a reboot (SQLite), has expired, or ends later than
    // any renewal could have set it: then somebody set the clock back.
    CLAIM_LEASE =>
        pg "UPDATE scheduler_lease
            SET epoch = epoch + 1, holder = $2, host = $3, version = $4, ttl = $5,
                lease_until = COALESCE(CAST($6 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)) + $5,
                acquired_at = $7, released = FALSE, boot_id = $8
            WHERE id = 1 AND epoch = $1
                AND (released = TRUE OR boot_id <> $8
                    OR lease_until <= COALESCE(CAST($6 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))
                    OR lease_until > COALESCE(CAST($6 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)) + ttl)",
        lite "UPDATE scheduler_lease
              SET epoch = epoch + 1, holder = $2, host = $3, version = $4, ttl = $5,
                  lease_until = $6 + $5,
                  acquired_at = $7, released = FALSE, boot_id = $8
              WHERE id = 1 AND epoch = $1
                  AND (released = TRUE OR boot_id <> $8
                      OR lease_until <= $6
                      OR lease_until > $6 + ttl)";
    CLAIM_EPOCH = "UPDATE scheduler_epoch SET epoch = epoch + 1 WHERE id = 1 AND epoch = $1";
    RENEW =>
        pg "UPDATE scheduler_lease
            SET lease_until = COALESCE(CAST($3 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)) + $4
            WHERE id = 1 AND epoch = $1 AND holder = $2 AND released = FALSE AND boot_id = $5
                AND lease_until > COALESCE(CAST($3 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))",
        lite "UPDATE scheduler_lease
              SET lease_until = $3 + $4
              WHERE id = 1 AND epoch = $1 AND holder = $2 AND released = FALSE AND boot_id = $5
                  AND lease_until > $3";
    RELEASE = "UPDATE scheduler_lease SET released = TRUE WHERE id = 1 AND epoch = $1 AND holder = $2";
    REPAIR =>
        pg "UPDATE scheduler_lease
            SET epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1), released = TRUE
            WHERE id = 1 AND epoch = $1 AND epoch <> (SELECT epoch FROM scheduler_epoch WHERE id = 1)
                AND (released = TRUE OR boot_id <> $2
                    OR lease_until <= COALESCE(CAST($3 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))
                    OR lease_until > COALESCE(CAST($3 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)) + ttl)",
        lite "UPDATE scheduler_lease
              SET epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1), released = TRUE
              WHERE id = 1 AND epoch = $1 AND epoch <> (SELECT epoch FROM scheduler_epoch WHERE id = 1)
                  AND (released = TRUE OR boot_id <> $2
                      OR lease_until <= $3
                      OR lease_until > $3 + ttl)";
    TERMINATE_SESSIONS =>
        pg "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = $1 AND pid <> pg_backend_pid()",
        lite "SELECT 0 WHERE $1 IS NOT NULL";
}

/// A process that asks for the lease.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Unique id of this process start; a host name or a pid would be reused.
    pub instance: Uuid,
    /// Label of this host.
    pub host: String,
    /// Version of the program.
    pub version: String,
    /// Time to live after a claim or a renewal, in microseconds.
    pub ttl: i64,
    /// Boot id of this host; empty on PostgreSQL.
    pub boot_id: String,
}

/// The current state of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Epoch of the current term.
    pub epoch: Epoch,
    /// Epoch that the fence checks; differs only if somebody changed a row by hand.
    pub fence_epoch: Epoch,
    /// Instance that holds the lease or held it last.
    pub holder: Option<Uuid>,
    /// Label of the holder's host.
    pub host: Option<String>,
    /// Version of the holder.
    pub version: Option<String>,
    /// Time of the claim, by the wall clock of the holder.
    pub acquired_at: Moment,
    /// Microseconds until another process may claim the lease; 0 or less: it is free.
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

/// Claims the term after `seen`, if the lease is free and nobody has claimed it since. After an error the claim may have
/// been committed or not: read the lease again.
pub async fn claim(db: &Db, clock: &Clock, me: &Candidate, seen: Epoch) -> Result<bool, StoreError> {
    let mut tx = db.begin_first().await?;
    let now = boot_time(tx.engine(), clock);
    // Lock order: the lease, then the epoch, which the fence of an open task transaction may hold. Nothing else.
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

/// Renews the lease of `epoch`. Returns false if another process holds it or it has expired.
pub async fn renew(db: &Db, clock: &Clock, me: &Candidate, epoch: Epoch) -> Result<bool, StoreError> {
    let mut tx = db.begin_first().await?;
    let now = boot_time(tx.engine(), clock);
    let rows = db_affected!(&mut tx, RENEW, epoch.0, me.instance, now, me.ttl, &me.boot_id)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Releases the lease of `epoch`, so that the next candidate does not wait for its expiry.
pub async fn release(db: &Db, me: &Candidate, epoch: Epoch) -> Result<bool, StoreError> {
    let mut tx = db.begin_first().await?;
    let rows = db_affected!(&mut tx, RELEASE, epoch.0, me.instance)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Sets the lease row's epoch to the fence's epoch, if the two differ and the lease is free.
pub async fn repair(db: &Db, clock: &Clock, me: &Candidate, seen: Epoch) -> Result<bool, StoreError> {
    let mut tx = db.begin_first().await?;
    let now = boot_time(tx.engine(), clock);
    let rows = db_affected!(&mut tx, REPAIR, seen.0, &me.boot_id, now)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Terminates the PostgreSQL sessions of a deposed leader's tasks, if the role is permitted to. Returns their number.
pub async fn terminate_sessions(db: &Db, session_name: &str) -> Result<i64, StoreError> {
    let mut tx = db.begin_first().await?;
    let count = db_run!(&mut tx, TERMINATE_SESSIONS, |sql, c| {
        query_scalar::<_, i64>(sql).bind(session_name).fetch_one(c).await
    })?;
    tx.commit().await?;
    Ok(count)
}

/// The bind for "now": `None` on PostgreSQL, whose own clock counts.
fn boot_time(engine: Engine, clock: &Clock) -> Option<i64> {
    match engine {
        Engine::Postgres => None,
        Engine::Sqlite => Some(clock.boot().micros()),
    }
}
