//! The locks of a migration on PostgreSQL, taken so that other sessions hardly wait.
//!
//! Statements of all panels queue behind a lock that a migration waits for. So it asks for locks only while no long
//! transaction is in the way, and gives up after a moment. A back-up, which reads all tables in one transaction, gives way: it
//! ends when it sees that a migration waits.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::{query_as, query_scalar};
use tokio::time::{Instant, sleep};

use super::db::{Db, Engine, Tx};
use super::error::StoreError;
use super::retry::Transient;
use super::statement::{db_execute, db_read, db_run, row, statements};
use crate::foundation::with_sources;

statements! {
    // Held from here until the transaction ends.
    ANNOUNCE => pg "SELECT 1 FROM (SELECT pg_advisory_xact_lock(7310303452)) AS held", lite "SELECT 1";
    IS_ANNOUNCED => pg "SELECT NOT pg_try_advisory_xact_lock_shared(7310303452)", lite "SELECT FALSE";
    // A back-up has locked the table of versions first, whichever tables it reads later. The name of a session of another
    // role is hidden.
    HOLDERS =>
        pg "SELECT CAST(l.virtualtransaction AS TEXT) AS transaction,
                   CAST(COALESCE(NULLIF(MAX(a.application_name), ''), 'another role') || ', process ' || l.pid AS TEXT) AS name,
                   BOOL_AND(l.mode = 'ShareUpdateExclusiveLock') AS is_vacuum
            FROM pg_locks l JOIN pg_class t ON t.oid = l.relation LEFT JOIN pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid() AND t.relkind = 'r'
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
            GROUP BY l.virtualtransaction, l.pid",
        lite "SELECT '' AS \"transaction\", '' AS name, FALSE AS is_vacuum WHERE FALSE";
    BEFORE_LOCKS => pg "SAVEPOINT before_locks", lite "SELECT 1";
    BACK => pg "ROLLBACK TO SAVEPOINT before_locks", lite "SELECT 1";
    SHORT_LIMIT => pg "SET LOCAL lock_timeout = 300", lite "SELECT 1";
    // The server cancels its own VACUUM after a second for a session that waits.
    LIMIT_BEHIND_VACUUM => pg "SET LOCAL lock_timeout = 1500", lite "SELECT 1";
    // Of other tables, which migrations lock by themselves.
    LIMIT_OF_MIGRATIONS => pg "SET LOCAL lock_timeout = 2000", lite "SELECT 1";
    LOCK_TABLES =>
        pg "LOCK TABLE admins, users, user_traffic, nodes, inbounds, cluster_member IN ACCESS EXCLUSIVE MODE",
        lite "SELECT 1";
}

/// Pause between two attempts, in which other sessions proceed.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause after an attempt that other sessions felt.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// Times between two reports of who is in the way.
const REPORT_EVERY: Duration = Duration::from_secs(15);

row! {
    /// A transaction of another session that has locks on tables.
    struct Holder {
        transaction: String,
        name: String,
        is_vacuum: bool,
    }
}

/// Locks the tables that migrations change, in the usual lock order, until the transaction ends. Fails with a transient error
/// if they are not free at that time.
pub(super) async fn lock(tx: &mut Tx, until: Instant) -> Result<(), StoreError> {
    db_run!(&mut *tx, ANNOUNCE, |sql, c| query_scalar::<_, i32>(sql).fetch_one(c).await)?;
    let (mut reported, mut before) = (None::<Instant>, BTreeSet::new());
    loop {
        let holders = db_run!(&mut *tx, HOLDERS, |sql, c| query_as::<_, Holder>(sql).fetch_all(c).await)?;
        // Here a second ago, too: others end within the time of an attempt.
        let long = || holders.iter().filter(|holder| before.contains(&holder.transaction));
        let mut pause = PAUSE;
        match long().find(|holder| !holder.is_vacuum) {
            Some(holder) if Instant::now() < until => {
                if reported.is_none_or(|at| at.elapsed() > REPORT_EVERY) {
                    reported = Some(Instant::now());
                    tracing::warn!(
                        session = holder.name,
                        "migrations are waiting for a long transaction of another session"
                    );
                }
            }
            _ => {
                let behind_vacuum = long().next().is_some();
                match attempt(&mut *tx, behind_vacuum).await {
                    Err(error) if error.is_transient() && Instant::now() < until => {
                        let error = with_sources(&error);
                        tracing::warn!(error, "migrations are waiting for table locks that other sessions hold");
                        pause = if behind_vacuum { LONG_PAUSE } else { PAUSE };
                    }
                    Ok(()) => return db_execute!(tx, LIMIT_OF_MIGRATIONS),
                    Err(error) => return Err(error),
                }
            }
        }
        before = holders.into_iter().map(|holder| holder.transaction).collect();
        sleep(pause).await;
    }
}

async fn attempt(tx: &mut Tx, behind_vacuum: bool) -> Result<(), StoreError> {
    db_execute!(&mut *tx, BEFORE_LOCKS)?;
    db_execute!(&mut *tx, if behind_vacuum { LIMIT_BEHIND_VACUUM } else { SHORT_LIMIT })?;
    let locked = db_execute!(&mut *tx, LOCK_TABLES);
    if locked.is_err() {
        // Also gives back the locks on the first tables.
        db_execute!(tx, BACK)?;
    }
    locked
}

/// True while a migration waits for other sessions, or runs.
pub async fn is_waiting(db: &Db) -> Result<bool, StoreError> {
    match db.engine() {
        Engine::Postgres => db_read!(db, IS_ANNOUNCED, |sql, c| query_scalar::<_, bool>(sql).fetch_one(c).await),
        Engine::Sqlite => Ok(false),
    }
}

/// Returns once a migration waits for other sessions; on SQLite, where readers are in nobody's way, never.
pub async fn until_one_waits(db: &Db) {
    loop {
        // A database that is away shows where it is used.
        if is_waiting(db).await.unwrap_or(false) {
            return;
        }
        sleep(PAUSE).await;
    }
}
