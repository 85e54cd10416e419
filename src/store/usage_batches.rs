//! Usage on its way: staged as a node reported it, then applied to users and nodes exactly once, then folded into
//! the hours of each user on each node exactly once.

use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::by_engine::ByEngine;
use super::{Db, Engine, StoreError, Tx, read, row, run, statements};
use crate::domain::ids::NodeId;
use crate::domain::moment::Moment;
use crate::domain::usage::{UsageReply, counted, decode_entries, encode_entries, raw_total};

statements! {
    STAGE =
        "INSERT INTO usage_batch (batch_id, part, node_id, fetched_at, coefficient, entries, bytes, state, state_at, payload)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'staged', $8, $9) ON CONFLICT (batch_id, part) DO NOTHING";
    OLDEST_STAGED =
        "SELECT batch_id, part, node_id, fetched_at, coefficient, bytes, payload FROM usage_batch
         WHERE state = 'staged' ORDER BY fetched_at, batch_id, part LIMIT 1";
    OLDEST_APPLIED =
        "SELECT batch_id, part, node_id, fetched_at, coefficient, bytes, payload FROM usage_batch
         WHERE state = 'applied' AND fetched_at <= $1 ORDER BY fetched_at, batch_id, part LIMIT 1";
    ADVANCE =
        "UPDATE usage_batch SET state = $4, state_at = $5 WHERE batch_id = $1 AND part = $2 AND state = $3";
    LOCK_USERS => pg
        "SELECT user_id FROM user_traffic WHERE user_id = ANY($1::BIGINT[]) ORDER BY user_id FOR UPDATE", lite "SELECT $1";
    // Sums stop near the end of 64 bits: beyond it PostgreSQL refuses the batch, and SQLite makes a float of the column.
    ADD_TO_USERS =>
        pg "UPDATE user_traffic AS t SET
                used_traffic = LEAST(used_traffic, 9000000000000000000 - e.counted) + CASE WHEN traffic_reset_at > $3 THEN 0 ELSE e.counted END,
                lifetime_used_traffic = LEAST(lifetime_used_traffic, 9000000000000000000 - e.counted) + e.counted,
                online_at = GREATEST(online_at, $3)
            FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS e (user_id, counted) WHERE t.user_id = e.user_id",
        lite "UPDATE user_traffic SET
                used_traffic = MIN(used_traffic, 9000000000000000000 - e.counted) + CASE WHEN traffic_reset_at > $3 THEN 0 ELSE e.counted END,
                lifetime_used_traffic = MIN(lifetime_used_traffic, 9000000000000000000 - e.counted) + e.counted,
                online_at = MAX(COALESCE(online_at, $3), $3)
            FROM (SELECT value ->> 0 AS user_id, value ->> 1 AS counted FROM json_each($1)) AS e
            WHERE user_traffic.user_id = e.user_id";
    UNKNOWN_BYTES =>
        pg "SELECT CAST(COALESCE(SUM(e.counted), 0) AS BIGINT) FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS e (user_id, counted)
            WHERE NOT EXISTS (SELECT 1 FROM user_traffic AS t WHERE t.user_id = e.user_id)",
        lite "SELECT COALESCE(SUM(value ->> 1), 0) FROM json_each($1)
            WHERE NOT EXISTS (SELECT 1 FROM user_traffic AS t WHERE t.user_id = value ->> 0)";
    NOTE_UNKNOWN = "UPDATE usage_batch SET unknown_bytes = $3 WHERE batch_id = $1 AND part = $2";
    ADD_TO_NODE =
        "INSERT INTO node_usage_hours (node_id, hour, downlink, counted) VALUES ($1, $2, $3, $4)
         ON CONFLICT (node_id, hour) DO UPDATE SET downlink = node_usage_hours.downlink + excluded.downlink,
             counted = node_usage_hours.counted + excluded.counted";
    ADD_TO_HOURS =>
        pg "INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
            SELECT e.user_id, $3, $4, e.counted FROM UNNEST($1::BIGINT[], $2::BIGINT[]) AS e (user_id, counted)
            WHERE e.counted > 0 ORDER BY e.user_id
            ON CONFLICT (user_id, hour, node_id) DO UPDATE SET counted = user_usage_hours.counted + excluded.counted",
        lite "INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
            SELECT value ->> 0, $3, $4, value ->> 1 FROM json_each($1) WHERE value ->> 1 > 0
            ON CONFLICT (user_id, hour, node_id) DO UPDATE SET counted = user_usage_hours.counted + excluded.counted";
    DROP_PAYLOADS = "UPDATE usage_batch SET payload = NULL WHERE state = 'folded' AND state_at < $1 AND payload IS NOT NULL";
    PRUNE = "DELETE FROM usage_batch WHERE state = 'folded' AND state_at < $1";
}

/// Entries of one transaction on SQLite at most, so that the lease never waits long.
const SQLITE_PART: usize = 20_000;

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

/// A batch (or a part of a large one) that waits for its next state.
#[derive(Clone, Debug)]
pub struct Batch {
    id: Uuid,
    part: i64,
    /// Whose counters these were.
    pub node: NodeId,
    /// When.
    pub fetched_at: Moment,
    bytes: i64,
    users: Vec<i64>,
    counted: Vec<i64>,
}

/// What applying a batch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Users who were charged.
    pub users: u64,
    /// Raw bytes of the node.
    pub bytes: i64,
    /// Counted bytes of users that do not exist.
    pub unknown: i64,
}

/// Stages a reply. Unfenced on purpose: a deposed leader still holds the only copy, and the same batch twice is one.
/// False: it was there already.
pub async fn stage(db: &Db, id: Uuid, reply: &UsageReply) -> Result<bool, StoreError> {
    let size = match db.engine() {
        Engine::Postgres => usize::MAX,
        Engine::Sqlite => SQLITE_PART,
    };
    let mut tx = db.begin().await?;
    let mut staged = false;
    for (part, entries) in (0i64..).zip(reply.entries.chunks(size)) {
        let rows = run!(&mut tx, STAGE, |sql, c| {
            let query = query(sql).bind(id).bind(part).bind(reply.node.0).bind(reply.fetched_at.micros());
            let query = query.bind(reply.coefficient).bind(i64::try_from(entries.len()).unwrap_or(i64::MAX));
            let query = query.bind(raw_total(entries)).bind(reply.fetched_at.micros()).bind(encode_entries(entries));
            query.execute(c).await.map(|done| done.rows_affected())
        })?;
        // All parts come and go together; and a program with another part size must not stage them anew.
        if rows == 0 {
            break;
        }
        staged = true;
    }
    tx.commit().await?;
    Ok(staged)
}

/// The oldest batch that is not yet applied.
pub async fn oldest_staged(db: &Db) -> Result<Option<Batch>, StoreError> {
    let row = read!(db, OLDEST_STAGED, |sql, c| query_as::<_, BatchRow>(sql).fetch_optional(c).await)?;
    row.map(BatchRow::read).transpose()
}

/// The oldest batch that is applied and not yet folded, fetched at `until` or before.
pub async fn oldest_applied(db: &Db, until: Moment) -> Result<Option<Batch>, StoreError> {
    let until = until.micros();
    let row = read!(db, OLDEST_APPLIED, |sql, c| { query_as::<_, BatchRow>(sql).bind(until).fetch_optional(c).await })?;
    row.map(BatchRow::read).transpose()
}

/// Applies a staged batch to its users' totals and its node's hour. `None`: somebody did already. A batch fetched
/// before a user's last reset adds to the lifetime only.
pub async fn apply(tx: &mut Tx, batch: &Batch, node_hours: bool, now: Moment) -> Result<Option<Applied>, StoreError> {
    if !advance(tx, batch, "staged", "applied", now).await? {
        return Ok(None);
    }
    let at = batch.fetched_at.micros();
    let (ids, counts) = batch.binds(tx.engine());
    if tx.engine() == Engine::Postgres {
        run!(tx, LOCK_USERS, |sql, c| query(sql).bind(&ids).execute(c).await.map(drop))?;
    }
    let users = run!(tx, ADD_TO_USERS, |sql, c| {
        query(sql).bind(&ids).bind(&counts).bind(at).execute(c).await.map(|done| done.rows_affected())
    })?;
    let mut unknown = 0;
    if users < batch.users.len() as u64 {
        unknown = run!(tx, UNKNOWN_BYTES, |sql, c| {
            query_scalar::<_, i64>(sql).bind(&ids).bind(&counts).fetch_one(c).await
        })?;
        run!(tx, NOTE_UNKNOWN, |sql, c| {
            query(sql).bind(batch.id).bind(batch.part).bind(unknown).execute(c).await.map(drop)
        })?;
    }
    if node_hours {
        let counted = batch.counted.iter().fold(0i64, |sum, counted| sum.saturating_add(*counted));
        let hour = batch.fetched_at.hour().micros();
        run!(tx, ADD_TO_NODE, |sql, c| {
            query(sql).bind(batch.node.0).bind(hour).bind(batch.bytes).bind(counted).execute(c).await.map(drop)
        })?;
    }
    Ok(Some(Applied { users, bytes: batch.bytes, unknown }))
}

/// Folds an applied batch into the hours of each user on its node (`hours` false: only marks it). False: somebody
/// did already.
pub async fn fold(tx: &mut Tx, batch: &Batch, hours: bool, now: Moment) -> Result<bool, StoreError> {
    if !advance(tx, batch, "applied", "folded", now).await? {
        return Ok(false);
    }
    let hour = batch.fetched_at.hour().micros();
    if hours {
        let (ids, counts) = batch.binds(tx.engine());
        run!(tx, ADD_TO_HOURS, |sql, c| {
            query(sql).bind(&ids).bind(&counts).bind(hour).bind(batch.node.0).execute(c).await.map(drop)
        })?;
    }
    Ok(true)
}

/// Empties the payloads of batches folded before `payloads` and forgets those folded before `ids`.
pub async fn prune(tx: &mut Tx, payloads: Moment, ids: Moment) -> Result<u64, StoreError> {
    let emptied = run!(tx, DROP_PAYLOADS, |sql, c| {
        query(sql).bind(payloads.micros()).execute(c).await.map(|done| done.rows_affected())
    })?;
    let forgotten =
        run!(tx, PRUNE, |sql, c| query(sql).bind(ids.micros()).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(emptied + forgotten)
}

async fn advance(tx: &mut Tx, batch: &Batch, from: &str, to: &str, now: Moment) -> Result<bool, StoreError> {
    run!(tx, ADVANCE, |sql, c| {
        let query = query(sql).bind(batch.id).bind(batch.part).bind(from).bind(to).bind(now.micros());
        query.execute(c).await.map(|done| done.rows_affected() == 1)
    })
}

type Column<'a> = ByEngine<&'a [i64], Option<String>>;

impl Batch {
    /// Users and counted bytes as two binds: two arrays on PostgreSQL; on SQLite `[[user, counted], …]` for
    /// `json_each`, and nothing.
    fn binds(&self, engine: Engine) -> (Column<'_>, Column<'_>) {
        match engine {
            Engine::Postgres => (ByEngine::Pg(&self.users), ByEngine::Pg(&self.counted)),
            Engine::Sqlite => {
                let pairs: Vec<(i64, i64)> = self.users.iter().copied().zip(self.counted.iter().copied()).collect();
                // Numbers in vectors always serialize.
                (ByEngine::Lite(Some(serde_json::to_string(&pairs).unwrap_or_default())), ByEngine::Lite(None))
            }
        }
    }
}

impl BatchRow {
    fn read(self) -> Result<Batch, StoreError> {
        let Some(entries) = self.payload.as_deref().and_then(decode_entries) else {
            let error = format!("the payload of usage batch {} part {} is damaged", self.batch_id, self.part);
            return Err(StoreError::new("reading a usage batch", sqlx::Error::Decode(error.into())));
        };
        Ok(Batch {
            id: self.batch_id,
            part: self.part,
            node: NodeId(self.node_id),
            fetched_at: Moment::from_micros(self.fetched_at),
            bytes: self.bytes,
            users: entries.iter().map(|(user, _)| user.0).collect(),
            counted: entries.iter().map(|(_, bytes)| counted(*bytes, self.coefficient)).collect(),
        })
    }
}
