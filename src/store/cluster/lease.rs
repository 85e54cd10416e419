//! The lease row and the epoch row, which say who leads.
//!
//! On PostgreSQL "now" is the database's clock, read by the statement that depends on it. On SQLite it is CLOCK_BOOTTIME,
//! because the wall clock of the host can be set back; a row written before a reboot counts as expired. CLOCK_BOOTTIME is
//! read after the transaction has begun and then bound, so a process that is suspended in between claims less time, never
//! more.

use sqlx::query_as;
use uuid::Uuid;

use super::lease_connection::{LeaseDb, Literal};
use crate::clock::Clock;
use crate::domain::ids::Epoch;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_read, row, statements};
use crate::store::engine::{Db, Engine, StoreError};

/// True if new sessions of this role in this database would be read-only and this one is not, or the other way round. An
/// open session does not notice `ALTER DATABASE … SET`.
macro_rules! outdated {
    () => {
        "COALESCE((SELECT CAST(split_part(setting, '=', 2) AS BOOLEAN)
            FROM pg_db_role_setting AS s, unnest(s.setconfig) AS setting
            WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
                AND s.setrole IN (0, (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = session_user))
                AND setting LIKE 'default_transaction_read_only=%'
            ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1)
            <> CAST(current_setting('default_transaction_read_only') AS BOOLEAN), FALSE) AS outdated"
    };
}

statements! {
    // On PostgreSQL the bind for "now" is NULL, and COALESCE takes the database's clock.
    READ =>
        pg concat!(
            "SELECT l.epoch, e.epoch AS fence_epoch, l.holder, l.host, l.version, l.ttl, l.lease_until, l.acquired_at,
                   l.released, l.boot_id,
                   COALESCE(CAST($1 AS BIGINT), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)) AS now,
                   CAST(current_setting('transaction_read_only') AS BOOLEAN) AS read_only, ",
            outdated!(),
            " FROM scheduler_lease AS l, scheduler_epoch AS e WHERE l.id = 1 AND e.id = 1"
        ),
        lite "SELECT l.epoch, e.epoch AS fence_epoch, l.holder, l.host, l.version, l.ttl, l.lease_until, l.acquired_at,
                     l.released, l.boot_id,
                     CAST($1 AS INTEGER) AS now, FALSE AS read_only, FALSE AS outdated
              FROM scheduler_lease AS l, scheduler_epoch AS e WHERE l.id = 1 AND e.id = 1";
    // A lease may be claimed when it was released, was written before a reboot (SQLite), has expired, or ends later than
    // any renewal could have set it: then somebody set the clock back.
    //
    // On PostgreSQL one statement claims both rows. The epoch's row is locked after the lease's, because it is joined to
    // what the change of the lease returns. If only the lease's row changed, the division by zero undoes the statement.
    CLAIM =>
        pg "WITH lease AS (
                UPDATE scheduler_lease
                SET epoch = epoch + 1, holder = $2, host = $3, version = $4, ttl = $5,
                    lease_until = CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + $5,
                    acquired_at = $6, released = FALSE, boot_id = $7
                WHERE id = 1 AND epoch = $1
                    AND (released = TRUE OR boot_id <> $7
                        OR lease_until <= CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)
                        OR lease_until > CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + ttl)
                RETURNING epoch),
            fence AS (
                UPDATE scheduler_epoch AS e SET epoch = lease.epoch FROM lease
                WHERE e.id = 1 AND e.epoch = lease.epoch - 1
                RETURNING e.epoch)
            SELECT 1 / (SELECT COUNT(*) FROM fence) AS claimed FROM lease",
        lite "UPDATE scheduler_lease
              SET epoch = epoch + 1, holder = $2, host = $3, version = $4, ttl = $5,
                  lease_until = $8 + $5,
                  acquired_at = $6, released = FALSE, boot_id = $7
              WHERE id = 1 AND epoch = $1
                  AND (released = TRUE OR boot_id <> $7
                      OR lease_until <= $8
                      OR lease_until > $8 + ttl)";
    CLAIM_EPOCH = "UPDATE scheduler_epoch SET epoch = epoch + 1 WHERE id = 1 AND epoch = $1";
    RENEW =>
        pg concat!(
            "UPDATE scheduler_lease
            SET lease_until = CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + $3
            WHERE id = 1 AND epoch = $1 AND holder = $2 AND released = FALSE AND boot_id = $4
                AND lease_until > CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)
            RETURNING ",
            outdated!()
        ),
        lite "UPDATE scheduler_lease
              SET lease_until = $5 + $3
              WHERE id = 1 AND epoch = $1 AND holder = $2 AND released = FALSE AND boot_id = $4
                  AND lease_until > $5";
    RELEASE = "UPDATE scheduler_lease SET released = TRUE WHERE id = 1 AND epoch = $1 AND holder = $2";
    REPAIR =>
        pg "UPDATE scheduler_lease
            SET epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1), released = TRUE
            WHERE id = 1 AND epoch = $1 AND epoch <> (SELECT epoch FROM scheduler_epoch WHERE id = 1)
                AND (released = TRUE OR boot_id <> $2
                    OR lease_until <= CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)
                    OR lease_until > CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + ttl)",
        lite "UPDATE scheduler_lease
              SET epoch = (SELECT epoch FROM scheduler_epoch WHERE id = 1), released = TRUE
              WHERE id = 1 AND epoch = $1 AND epoch <> (SELECT epoch FROM scheduler_epoch WHERE id = 1)
                  AND (released = TRUE OR boot_id <> $2
                      OR lease_until <= $3
                      OR lease_until > $3 + ttl)";
    TERMINATE_SESSIONS =>
        pg "SELECT COUNT(pg_terminate_backend(pid)) AS count FROM pg_stat_activity
            WHERE application_name = $1 AND pid <> pg_backend_pid()",
        lite "SELECT 0 AS count WHERE $1 IS NOT NULL";
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
    /// True if the database refuses changes over this connection.
    pub read_only: bool,
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
        read_only: bool,
        outdated: bool,
    }
}

row! {
    struct Renewed {
        outdated: bool,
    }
}

row! {
    struct Terminated {
        count: i64,
    }
}

impl LeaseRow {
    fn read_by(self, boot_id: &str) -> Lease {
        let free = self.released || self.boot_id != boot_id || self.lease_until > self.now + self.ttl;
        Lease {
            epoch: Epoch(self.epoch),
            fence_epoch: Epoch(self.fence_epoch),
            holder: self.holder,
            host: self.host,
            version: self.version,
            acquired_at: Moment::from_micros(self.acquired_at),
            remaining: if free { 0 } else { self.lease_until - self.now },
            read_only: self.read_only,
        }
    }
}

/// Reads the lease over the ordinary connections.
pub async fn current(db: &Db, clock: &Clock, boot_id: &str) -> Result<Lease, StoreError> {
    let now = match db.engine() {
        Engine::Postgres => None,
        Engine::Sqlite => Some(clock.boot().micros()),
    };
    let row = db_read!(db, READ, |sql, c| query_as::<_, LeaseRow>(sql).bind(now).fetch_one(c).await)?;
    Ok(row.read_by(boot_id))
}

/// Reads the lease over its own connection.
pub async fn read(db: &mut LeaseDb, clock: &Clock, boot_id: &str) -> Result<Lease, StoreError> {
    match db {
        LeaseDb::Pg(connection) => {
            let row = connection.send(&READ, &[Literal::Null]).await?.one::<LeaseRow>()?;
            if row.outdated {
                connection.close();
            }
            Ok(row.read_by(boot_id))
        }
        LeaseDb::Lite(db) => current(db, clock, boot_id).await,
    }
}

/// Claims the term after `seen`, if the lease is free and nobody has claimed it since. After an error the claim may have
/// been committed or not: read the lease again.
pub async fn claim(db: &mut LeaseDb, clock: &Clock, me: &Candidate, seen: Epoch) -> Result<bool, StoreError> {
    let acquired_at = clock.now().micros();
    let db = match db {
        LeaseDb::Pg(connection) => {
            let binds = [
                Literal::Int(seen.0),
                Literal::Uuid(me.instance),
                Literal::Text(&me.host),
                Literal::Text(&me.version),
                Literal::Int(me.ttl),
                Literal::Int(acquired_at),
                Literal::Text(&me.boot_id),
            ];
            return Ok(connection.send(&CLAIM, &binds).await?.has_rows());
        }
        LeaseDb::Lite(db) => db,
    };
    let mut tx = db.begin_first().await?;
    let now = clock.boot().micros();
    // Lock order: the lease, then the epoch, which the fence of an open task transaction may hold. Nothing else.
    let (version, ttl) = (&me.version, me.ttl);
    let lease =
        db_affected!(&mut tx, CLAIM, seen.0, me.instance, &me.host, version, ttl, acquired_at, &me.boot_id, now)?;
    let epoch = db_affected!(&mut tx, CLAIM_EPOCH, seen.0)?;
    if lease != 1 || epoch != 1 {
        tx.rollback().await?;
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

/// Renews the lease of `epoch`. Returns false if another process holds it or it has expired.
pub async fn renew(db: &mut LeaseDb, clock: &Clock, me: &Candidate, epoch: Epoch) -> Result<bool, StoreError> {
    let db = match db {
        LeaseDb::Pg(connection) => {
            let binds =
                [Literal::Int(epoch.0), Literal::Uuid(me.instance), Literal::Int(me.ttl), Literal::Text(&me.boot_id)];
            let answer = connection.send(&RENEW, &binds).await?;
            let is_renewed = answer.changed() == 1;
            if is_renewed && answer.one::<Renewed>()?.outdated {
                connection.close();
            }
            return Ok(is_renewed);
        }
        LeaseDb::Lite(db) => db,
    };
    let mut tx = db.begin_first().await?;
    let now = clock.boot().micros();
    let rows = db_affected!(&mut tx, RENEW, epoch.0, me.instance, me.ttl, &me.boot_id, now)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Releases the lease of `epoch`, so that the next candidate does not wait for its expiry.
pub async fn release(db: &mut LeaseDb, me: &Candidate, epoch: Epoch) -> Result<bool, StoreError> {
    let db = match db {
        LeaseDb::Pg(connection) => {
            let binds = [Literal::Int(epoch.0), Literal::Uuid(me.instance)];
            return Ok(connection.send(&RELEASE, &binds).await?.changed() == 1);
        }
        LeaseDb::Lite(db) => db,
    };
    let mut tx = db.begin_first().await?;
    let rows = db_affected!(&mut tx, RELEASE, epoch.0, me.instance)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Sets the lease row's epoch to the fence's epoch, if the two differ and the lease is free.
pub async fn repair(db: &mut LeaseDb, clock: &Clock, me: &Candidate, seen: Epoch) -> Result<bool, StoreError> {
    let db = match db {
        LeaseDb::Pg(connection) => {
            let binds = [Literal::Int(seen.0), Literal::Text(&me.boot_id)];
            return Ok(connection.send(&REPAIR, &binds).await?.changed() == 1);
        }
        LeaseDb::Lite(db) => db,
    };
    let mut tx = db.begin_first().await?;
    let now = clock.boot().micros();
    let rows = db_affected!(&mut tx, REPAIR, seen.0, &me.boot_id, now)?;
    tx.commit().await?;
    Ok(rows == 1)
}

/// Terminates the PostgreSQL sessions of a deposed leader's tasks, if the role is permitted to. Returns their number.
pub async fn terminate_sessions(db: &mut LeaseDb, session_name: &str) -> Result<i64, StoreError> {
    match db {
        LeaseDb::Pg(connection) => {
            let answer = connection.send(&TERMINATE_SESSIONS, &[Literal::Text(session_name)]).await?;
            Ok(answer.one::<Terminated>()?.count)
        }
        LeaseDb::Lite(_) => Ok(0),
    }
}
