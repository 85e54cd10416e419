//! Usage on its way: staged as a node reported it, then applied to totals (`usage_totals`), then folded into hours
//! (`usage_hours`), each exactly once by the batch's state. Batches that belong together are worked on together.

use sqlx::query_as;
use uuid::Uuid;

use crate::domain::ids::{NodeId, UserId};
use crate::domain::moment::Moment;
use crate::domain::usage::{UsageReply, counted, decode_entries};
use crate::store::engine::statement::{db_affected, db_read, row, statements};
use crate::store::engine::{Db, Engine, StoreError, Tx};

/// The columns of a batch that is to be worked on.
macro_rules! columns {
    () => {
        "b.batch_id, b.part, b.node_id, b.fetched_at, b.coefficient, b.bytes, b.payload"
    };
}

statements! {
    STAGE =
        "INSERT INTO usage_batch (batch_id, part, node_id, fetched_at, coefficient, entries, bytes, state, state_at, payload)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'staged', $8, $9) ON CONFLICT (batch_id, part) DO NOTHING";
    // One moment: the rule about resets is the same for all of them. One part: mostly the same users.
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
    SET_ASIDE = "UPDATE usage_batch SET trouble = $3 WHERE batch_id = $1 AND part = $2 AND trouble IS NULL";
    PENDING =
        "SELECT (SELECT COUNT(*) FROM usage_batch WHERE state = 'staged' AND trouble IS NULL) AS staged,
                (SELECT COUNT(*) FROM usage_batch WHERE state = 'applied' AND trouble IS NULL) AS applied,
                (SELECT COUNT(*) FROM usage_batch WHERE trouble IS NOT NULL) AS set_aside";
    DROP_PAYLOADS =
        "UPDATE usage_batch SET payload = NULL WHERE (batch_id, part) IN (SELECT batch_id, part FROM usage_batch
            WHERE state = 'folded' AND state_at < $1 AND payload IS NOT NULL ORDER BY state_at LIMIT $2)";
    FORGET =
        "DELETE FROM usage_batch WHERE (batch_id, part) IN (SELECT batch_id, part FROM usage_batch
            WHERE state_at < $1 AND state = 'folded' AND trouble IS NULL ORDER BY state_at LIMIT $2)";
}

/// How much is worked on in one transaction.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Entries of one part of a reply.
    part: usize,
    /// Batches that are read together: they bound the memory.
    batches: i64,
    /// Users whose rows are written, unless one part alone has more.
    users: usize,
}

/// On SQLite so little that the lease never waits long.
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
    /// How many batches wait.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Pending {
        /// To be applied.
        pub staged: i64,
        /// To be folded.
        pub applied: i64,
        /// For a person to look at them.
        pub set_aside: i64,
    }
}

/// Which batch, or which part of a large one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchKey {
    id: Uuid,
    part: i64,
}

/// A batch that waits for its next state.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which.
    pub key: BatchKey,
    /// Whose counters these were.
    pub node: NodeId,
    /// When they were read.
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

/// The oldest batches that wait, as far as they are worked on together.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// In the order of their keys; none with nothing damaged: nothing waits.
    pub batches: Vec<Batch>,
    /// Batches that can't be read: to be set aside.
    pub damaged: Vec<BatchKey>,
}

/// Stages a reply. Unfenced on purpose: a deposed leader still holds the only copy, and the same batch twice is one.
/// False: it was there already.
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
            // All parts come and go together; and a program with another part size must not stage them anew.
            if rows == 0 {
                break;
            }
            staged = true;
        }
        Ok(staged)
    })
    .await
}

/// The oldest batches that are not yet applied: of one moment, from any number of nodes.
pub async fn oldest_staged(db: &Db) -> Result<Waiting, StoreError> {
    let size = size(db.engine());
    let rows =
        db_read!(db, OLDEST_STAGED, |sql, c| { query_as::<_, BatchRow>(sql).bind(size.batches).fetch_all(c).await })?;
    Ok(Waiting::new(rows, size))
}

/// If a batch fetched at `overdue` or before waits to be folded: all of its node and hour, however many moments.
pub async fn oldest_applied(db: &Db, overdue: Moment) -> Result<Waiting, StoreError> {
    let size = size(db.engine());
    let rows = db_read!(db, OLDEST_APPLIED, |sql, c| {
        query_as::<_, BatchRow>(sql).bind(overdue.micros()).bind(size.batches).fetch_all(c).await
    })?;
    Ok(Waiting::new(rows, size))
}

/// Sets a batch aside that can't be worked on: it stays as it is, and holds up nothing any more. False: it was already.
pub async fn set_aside(tx: &mut Tx, key: BatchKey, trouble: &str) -> Result<bool, StoreError> {
    db_affected!(tx, SET_ASIDE, key.id, key.part, trouble).map(|rows| rows == 1)
}

/// How many batches wait.
pub async fn pending(db: &Db) -> Result<Pending, StoreError> {
    db_read!(db, PENDING, |sql, c| query_as::<_, Pending>(sql).fetch_one(c).await)
}

/// Empties at most `limit` payloads of batches folded before `before`; returns how many.
pub async fn drop_payloads(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, DROP_PAYLOADS, before.micros(), limit)
}

/// Forgets at most `limit` batches folded before `before`; returns how many.
pub async fn forget(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, FORGET, before.micros(), limit)
}

/// Takes batches on to their next state, and returns those that were still in the one before: nobody else will ever
/// work on them, if this transaction commits.
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

impl Waiting {
    /// As many of the first batches as write to no more users than they should.
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
            // Ascending lists one after the other: sorting merges them.
            users.sort();
            users.dedup();
            if users.len() > size.users && !waiting.batches.is_empty() {
                break;
            }
            waiting.batches.push(batch);
        }
        waiting
    }

    /// Nothing waits.
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
    /// Id and part.
    pub(in crate::store) const fn parts(self) -> (Uuid, i64) {
        (self.id, self.part)
    }
}

impl std::fmt::Display for BatchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} part {}", self.id, self.part)
    }
}
