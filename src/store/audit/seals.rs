//! The tables `audit_seal` and `audit_start`: the chain of seals over the audit log. Only the leader writes them, under the fence.

use sqlx::{query_as, query_scalar};

use crate::domain::audit::chain::{self, SealedEntry};
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

statements! {
    UNSEALED = "SELECT id, digest FROM audit_entry WHERE seal IS NULL ORDER BY id LIMIT $1";
    UNSEALED_COUNT = "SELECT COUNT(*) FROM audit_entry WHERE seal IS NULL";
    LAST =
        "SELECT sequence, digest FROM
             (SELECT sequence, digest FROM audit_seal UNION ALL SELECT sequence, digest FROM audit_start) AS l
         ORDER BY sequence DESC LIMIT 1";
    SET_SEAL =>
        pg "UPDATE audit_entry SET seal = $2 WHERE id = ANY($1)",
        lite "UPDATE audit_entry SET seal = $2 WHERE id IN (SELECT value FROM json_each($1))";
    INSERT = "INSERT INTO audit_seal (sequence, at, entries, digest) VALUES ($1, $2, $3, $4)";
    START = "SELECT sequence, digest FROM audit_start";
    PAGE = "SELECT sequence, at, entries, digest FROM audit_seal WHERE sequence > $1 ORDER BY sequence LIMIT $2";
    LONE =
        "SELECT MIN(e.id) FROM audit_entry AS e
         WHERE e.seal IS NOT NULL AND NOT EXISTS (SELECT 1 FROM audit_seal AS s WHERE s.sequence = e.seal)";
    EXPIRED =
        "SELECT sequence, digest FROM
             (SELECT sequence, digest, at FROM audit_seal ORDER BY sequence LIMIT $2) AS oldest
         WHERE at < $1 ORDER BY sequence DESC LIMIT 1";
    DELETE_ENTRIES = "DELETE FROM audit_entry WHERE seal <= $1";
    DELETE_SEALS = "DELETE FROM audit_seal WHERE sequence <= $1";
    SET_START = "UPDATE audit_start SET sequence = $1, digest = $2";
}

row! {
    /// A place in the chain.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Link {
        /// Number of the seal; 0 before the first one.
        pub sequence: i64,
        /// Its digest; empty before the first one.
        pub digest: String,
    }
}

row! {
    /// A seal.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Seal {
        /// Number, from 1 without gaps.
        pub sequence: i64,
        /// Time, in unix microseconds.
        pub at: i64,
        /// Number of entries that it covers.
        pub entries: i64,
        /// Digest over the seal before and the entries.
        pub digest: String,
    }
}

/// The part of the log that a deletion of old entries removed.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The newest deleted seal.
    pub last: Link,
    /// Number of deleted entries; 0 is possible only if somebody had removed them before.
    pub entries: u64,
}

/// Seals up to `limit` entries, the oldest first. Returns their number. An entry of an older id that is committed later is
/// sealed later.
pub async fn seal(tx: &mut Tx, limit: i64, now: Moment) -> Result<i64, StoreError> {
    let rows = db_run!(tx, UNSEALED, |sql, c| query_as::<_, (i64, String)>(sql).bind(limit).fetch_all(c).await)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let entries: Vec<SealedEntry> = rows.into_iter().map(|(id, digest)| SealedEntry { id, digest }).collect();
    let last = db_run!(tx, LAST, |sql, c| query_as::<_, Link>(sql).fetch_one(c).await)?;
    let (sequence, count) = (last.sequence + 1, entries.len() as i64);
    let digest = chain::seal(sequence, &last.digest, &entries);
    db_execute!(tx, SET_SEAL, IdList::new(entries.iter().map(|entry| entry.id)), sequence)?;
    db_execute!(tx, INSERT, sequence, now.micros(), count, digest)?;
    Ok(count)
}

/// Deletes the oldest seals with their entries, if they were made before `cutoff`; at most `limit` seals. Returns the newest
/// deleted one, from which the stored chain goes on.
pub async fn prune(tx: &mut Tx, cutoff: Moment, limit: i64) -> Result<Option<Pruned>, StoreError> {
    let last = db_run!(tx, EXPIRED, |sql, c| {
        query_as::<_, Link>(sql).bind(cutoff.micros()).bind(limit).fetch_optional(c).await
    })?;
    let Some(last) = last else { return Ok(None) };
    let entries = db_affected!(tx, DELETE_ENTRIES, last.sequence)?;
    db_execute!(tx, DELETE_SEALS, last.sequence)?;
    db_execute!(tx, SET_START, last.sequence, &last.digest)?;
    Ok(Some(Pruned { last, entries }))
}

/// Returns where the stored chain begins.
pub async fn start(db: &Db) -> Result<Link, StoreError> {
    db_read!(db, START, |sql, c| query_as::<_, Link>(sql).fetch_one(c).await)
}

/// Returns seals after a number, in order.
pub async fn after(db: &Db, sequence: i64, limit: i64) -> Result<Vec<Seal>, StoreError> {
    db_read!(db, PAGE, |sql, c| query_as::<_, Seal>(sql).bind(sequence).bind(limit).fetch_all(c).await)
}

/// Returns the first entry whose seal does not exist.
pub async fn lone_entry(db: &Db) -> Result<Option<i64>, StoreError> {
    db_read!(db, LONE, |sql, c| query_scalar::<_, Option<i64>>(sql).fetch_one(c).await)
}

/// Returns the number of entries without a seal yet.
pub async fn unsealed(db: &Db) -> Result<i64, StoreError> {
    db_read!(db, UNSEALED_COUNT, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)
}
