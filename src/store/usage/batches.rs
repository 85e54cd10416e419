//! Batches of usage: staged as a node reported them, then applied to totals (`totals`), then folded into hours
//! (`hours`). The batch's state makes sure that each step happens exactly once.

use sqlx::query_as;
use uuid::Uuid;

use crate::domain::ids::{NodeId, UserId};
use crate::domain::moment::Moment;
use crate::domain::usage::{UsageReply, counted, decode_entries};
use crate::store::engine::statement::{db_affected, db_read, db_run, row, statements};
use crate::store::engine::{Db, Engine, StoreError, Tx};

/// The columns of a batch that is to be processed.
macro_rules! columns {
    () => {
        "b.batch_id, b.part, b.node_id, b.fetched_at, b.coefficient, b.bytes, b.payload"
    };
}

statements! {
    STAGE =
        "INSERT INTO usage_batch (batch_id, part, node_id, fetched_at, coefficient, entries, bytes, state, state_at, payload)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'staged', $8, $9) ON CONFLICT (batch_id, part) DO NOTHING";
    // One fetch time, because the rule about resets depends on it. One part, because equal parts mostly have the same
    // users.
    OLDEST_STAGED = concat!(
        "WITH oldest AS (SELECT fetched_at, part FROM usage_batch WHERE state = 'staged' AND trouble IS NULL
                         ORDER BY fetched_at, part, batch_id LIMIT 1)
         SELECT ", columns!(), " FROM usage_batch AS b JOIN oldest AS o ON b.fetched_at = o.fetched_at AND b.part = o.part
         WHERE b.state = 'staged' AND b.trouble IS NULL ORDER BY b.batch_id LIMIT $1");
    OLDEST_APPLIED = concat!(
        "WITH oldest AS (SELECT node_id, part, fetched_at - fetched_at % 3600000000 AS hour FROM usage_batch
                         WHERE state = 'applied' AND trouble IS NULL AND fetched_at <= $1 ORDER BY fetched_at LIMIT 1)
         SELECT ", columns!(), " FROM usage_batch AS b JOIN oldest AS o ON b.node_id = o.node_id AND b.part = o.part
             AND b.fetched_at >= o.hour AND b.fetched_at < o.hour + 3600000000
         WHERE b.state = 'applied' AND b.trouble IS NULL ORDER BY b.fetched_at, b.batch_id LIMIT $2");
    ADVANCE =
        "UPDATE usage_batch SET state = $4, state_at = $5 WHERE batch_id = $1 AND part = $2 AND state = $3 AND trouble IS NULL";
    QUARANTINE = "UPDATE usage_batch SET trouble = $3 WHERE batch_id = $1 AND part = $2 AND trouble IS NULL";
    PENDING =
        "SELECT (SELECT COUNT(*) FROM usage_batch WHERE state = 'staged' AND trouble IS NULL) AS staged,
                (SELECT COUNT(*) FROM usage_batch WHERE state = 'applied' AND trouble IS NULL) AS applied,
                (SELECT COUNT(*) FROM usage_batch WHERE trouble IS NOT NULL) AS quarantined";
    DROP_PAYLOADS =
        "UPDATE usage_batch SET payload = NULL WHERE (batch_id, part) IN (SELECT batch_id, part FROM usage_batch
            WHERE state = 'folded' AND state_at < $1 AND payload IS NOT NULL ORDER BY state_at LIMIT $2)";
    FORGET =
        "DELETE FROM usage_batch WHERE (batch_id, part) IN (SELECT batch_id, part FROM usage_batch
            WHERE state_at < $1 AND state = 'folded' AND trouble IS NULL ORDER BY state_at LIMIT $2)";
}

/// Limits of the work in one transaction.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Entries in one part of a reply.
    part: usize,
    /// Batches read at once, which bounds the memory.
    batches: i64,
    /// Users written at once, unless a single part has more.
    users: usize,
}

/// Small on SQLite, so that the lease never waits long.
const fn size(engine: Engine) -> Size {
    match engine {
        Engine::Postgres => Size { part: 50_000, batches: 40, users: 100_000 },
        Engine::Sqlite => Size { part: 20_000, batches: 10, users: 20_000 },
    }
}

row! {
    struct BatchRow {
        batch_id: Uuid,
        part: i64,
        node_id: i64,
        fetched_at: i64,
        coefficient: f64,
        bytes: i64,
        payload: Option<Vec<u8>>,
    }
}

row! {
    /// Counts of unfinished batches.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Pending {
        /// Batches to be applied.
        pub staged: i64,
        /// Batches to be folded.
        pub applied: i64,
        /// Quarantined batches, which a person must look at.
        pub quarantined: i64,
    }
}

/// Identity of a batch, or of a part of a large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchKey {
    id: Uuid,
    part: i64,
}

/// A batch to be applied or folded.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Identity of the batch.
    pub key: BatchKey,
    /// Node that reported the counters.
    pub node: NodeId,
    /// Time of the fetch.
    pub fetched_at: Moment,
    /// Raw bytes of all entries.
    pub(in crate::store) bytes: i64,
    /// Counted bytes by user, ascending by user.
    pub(in crate::store) charges: Vec<(UserId, i64)>,
}

/// The states of a batch, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum State {
    Staged,
    Applied,
    Folded,
}

/// The oldest unfinished batches that are processed together.
#[derive(Clone, Debug, Default)]
pub struct DueBatches {
    /// Batches in the order of their keys. If there are no damaged ones either, nothing is left to do.
    pub batches: Vec<Batch>,
    /// Batches with an unreadable payload, to be quarantined.
    pub damaged: Vec<BatchKey>,
}

/// Stages a reply. Unfenced on purpose: a deposed leader holds the only copy, and staging is idempotent. False: the
/// batch was staged already.
pub async fn stage(db: &Db, id: Uuid, reply: &UsageReply) -> Result<bool, StoreError> {
    db.transaction("stage usage", async |tx| {
        let mut staged = false;
        let fetched_at = reply.fetched_at.micros();
        for (number, part) in (0i64..).zip(reply.parts(size(db.engine()).part)) {
            let (node, coefficient) = (reply.node.0, reply.coefficient);
            let rows = db_affected!(
                tx,
                STAGE,
                id,
                number,
                node,
                fetched_at,
                coefficient,
                part.entries,
                part.bytes,
                fetched_at,
                part.payload
            )?;
            // All parts are staged in one transaction, so the batch is there already. A program with another part size
            // must not stage the rest again.
            if rows == 0 {
                break;
            }
            staged = true;
        }
        Ok(staged)
    })
    .await
}

/// Returns the oldest batches to apply: of one fetch time, from any number of nodes.
pub async fn oldest_staged(db: &Db) -> Result<DueBatches, StoreError> {
    let size = size(db.engine());
    let rows =
        db_read!(db, OLDEST_STAGED, |sql, c| { query_as::<_, BatchRow>(sql).bind(size.batches).fetch_all(c).await })?;
    Ok(DueBatches::new(rows, size))
}

/// If a batch fetched at or before `overdue` is to be folded, returns all applied batches of its node and hour.
pub async fn oldest_applied(db: &Db, overdue: Moment) -> Result<DueBatches, StoreError> {
    let size = size(db.engine());
    let rows = db_read!(db, OLDEST_APPLIED, |sql, c| {
        query_as::<_, BatchRow>(sql).bind(overdue.micros()).bind(size.batches).fetch_all(c).await
    })?;
    Ok(DueBatches::new(rows, size))
}

/// Returns the oldest batches to apply, as this transaction sees them.
pub async fn oldest_staged_within(tx: &mut Tx) -> Result<DueBatches, StoreError> {
    let size = size(tx.engine());
    let rows =
        db_run!(tx, OLDEST_STAGED, |sql, c| { query_as::<_, BatchRow>(sql).bind(size.batches).fetch_all(c).await })?;
    Ok(DueBatches::new(rows, size))
}

/// Returns the oldest applied batches of one node and hour, as this transaction sees them.
pub async fn oldest_applied_within(tx: &mut Tx) -> Result<DueBatches, StoreError> {
    let size = size(tx.engine());
    let rows = db_run!(tx, OLDEST_APPLIED, |sql, c| {
        query_as::<_, BatchRow>(sql).bind(i64::MAX).bind(size.batches).fetch_all(c).await
    })?;
    Ok(DueBatches::new(rows, size))
}

/// Quarantines a batch that can't be processed: it stays as it is and no longer blocks others. False: it was
/// quarantined already.
pub async fn quarantine(tx: &mut Tx, key: BatchKey, error: &str) -> Result<bool, StoreError> {
    db_affected!(tx, QUARANTINE, key.id, key.part, error).map(|rows| rows == 1)
}

/// Counts of unfinished batches.
pub async fn pending(db: &Db) -> Result<Pending, StoreError> {
    db_read!(db, PENDING, |sql, c| query_as::<_, Pending>(sql).fetch_one(c).await)
}

/// Deletes the payloads of at most `limit` batches folded before `before`. Returns their number.
pub async fn drop_payloads(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, DROP_PAYLOADS, before.micros(), limit)
}

/// Deletes at most `limit` batches folded before `before`. Returns their number.
pub async fn forget(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, FORGET, before.micros(), limit)
}

/// Moves batches to their next state and returns those that were in the previous one. Once this transaction has
/// committed, nobody else processes them.
pub(in crate::store) async fn advance<'a>(
    tx: &mut Tx,
    batches: &'a [Batch],
    from: State,
    to: State,
    now: Moment,
) -> Result<Vec<&'a Batch>, StoreError> {
    let mut ordered: Vec<&Batch> = batches.iter().collect();
    ordered.sort_unstable_by_key(|batch| batch.key);
    let mut advanced = Vec::with_capacity(ordered.len());
    for batch in ordered {
        let BatchKey { id, part } = batch.key;
        let rows = db_affected!(tx, ADVANCE, id, part, from.word(), to.word(), now.micros())?;
        if rows == 1 {
            advanced.push(batch);
        }
    }
    Ok(advanced)
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Applied => "applied",
            Self::Folded => "folded",
        }
    }
}

impl DueBatches {
    /// Returns the first batches that together have no more users than allowed.
    fn new(rows: Vec<BatchRow>, size: Size) -> Self {
        let mut waiting = Self::default();
        let mut users: Vec<UserId> = Vec::new();
        for row in rows {
            let key = BatchKey { id: row.batch_id, part: row.part };
            let Some(batch) = row.read() else {
                waiting.damaged.push(key);
                continue;
            };
            users.extend(batch.charges.iter().map(|(user, _)| *user));
            // Sorting merges the ascending lists.
            users.sort();
            users.dedup();
            if users.len() > size.users && !waiting.batches.is_empty() {
                break;
            }
            waiting.batches.push(batch);
        }
        waiting
    }

    /// True if there is nothing to do.
    pub const fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.damaged.is_empty()
    }
}

impl BatchRow {
    /// `None`: the payload is damaged.
    fn read(self) -> Option<Batch> {
        let entries = decode_entries(&self.payload?)?;
        Some(Batch {
            key: BatchKey { id: self.batch_id, part: self.part },
            node: NodeId(self.node_id),
            fetched_at: Moment::from_micros(self.fetched_at),
            bytes: self.bytes,
            charges: entries.into_iter().map(|(user, bytes)| (user, counted(bytes, self.coefficient))).collect(),
        })
    }
}

impl BatchKey {
    /// Returns the id and the part.
    pub(in crate::store) const fn parts(self) -> (Uuid, i64) {
        (self.id, self.part)
    }
}

impl std::fmt::Display for BatchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} part {}", self.id, self.part)
    }
}
