//! The tables `edge` and `edge_batch`: edges that report to a panel, and the batches of fetches that they sent.

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::edge::{Edge, EdgeReport};
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, StoreError, Tx};

statements! {
    // Of two reports that cross, the later one stays.
    REPORT =
        "INSERT INTO edge (id, host, version, started_at, last_seen, report) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET host = excluded.host, version = excluded.version,
             started_at = excluded.started_at, last_seen = excluded.last_seen, report = excluded.report
         WHERE edge.last_seen <= excluded.last_seen";
    HAS_LATER = "SELECT COUNT(*) FROM edge WHERE id = $1 AND started_at > $2 AND last_seen >= $3";
    IS_LISTED = "SELECT COUNT(*) FROM edge WHERE id = $1";
    COUNT = "SELECT COUNT(*) FROM edge";
    DELETE_AWAY = "DELETE FROM edge WHERE id IN
        (SELECT id FROM edge WHERE last_seen < $1 ORDER BY last_seen, id LIMIT $2)";
    LEAVE = "DELETE FROM edge WHERE id = $1";
    ALL = "SELECT id, host, version, started_at, last_seen, report FROM edge ORDER BY host, id";
    PRUNE = "DELETE FROM edge WHERE last_seen < $1";
    // Waits for a transaction that has inserted the same id.
    BEGIN_BATCH = "INSERT INTO edge_batch (id, received_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    FORGET_BATCH = "DELETE FROM edge_batch WHERE id = $1";
    PRUNE_BATCHES = "DELETE FROM edge_batch WHERE id IN
        (SELECT id FROM edge_batch WHERE received_at < $1 ORDER BY received_at LIMIT $2)";
}

row! {
    struct EdgeRow {
        id: Uuid,
        host: String,
        version: String,
        started_at: i64,
        last_seen: i64,
        report: String,
    }
}

/// Stores the report of an edge.
pub async fn report(tx: &mut Tx, edge: &Edge, now: Moment) -> Result<(), StoreError> {
    let started = edge.started_at.micros();
    let report = serde_json::to_string(&edge.report).unwrap_or_default();
    db_execute!(tx, REPORT, edge.id, &edge.host, &edge.version, started, now.micros(), report)
}

/// Returns true if an edge that started later than this one has reported with the same id since `since`.
pub async fn has_later(tx: &mut Tx, edge: &Edge, since: Moment) -> Result<bool, StoreError> {
    let started = edge.started_at.micros();
    let found = db_run!(tx, HAS_LATER, |sql, c| query_scalar::<_, i64>(sql)
        .bind(edge.id)
        .bind(started)
        .bind(since.micros())
        .fetch_one(c)
        .await)?;
    Ok(found > 0)
}

/// Returns true if there is room for the report of this edge: it is listed, or there are fewer than `most` others. If need be, the edges
/// that have reported longest ago, before `away`, are removed. Reports that cross may exceed the limit by their own number.
pub async fn make_room(tx: &mut Tx, id: Uuid, away: Moment, most: i64) -> Result<bool, StoreError> {
    if db_run!(tx, IS_LISTED, |sql, c| query_scalar::<_, i64>(sql).bind(id).fetch_one(c).await)? > 0 {
        return Ok(true);
    }
    let count = db_run!(tx, COUNT, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await)?;
    if count < most {
        return Ok(true);
    }
    let removed = db_affected!(tx, DELETE_AWAY, away.micros(), count - most + 1)?;
    Ok(count - i64::try_from(removed).unwrap_or(0) < most)
}

/// Removes an edge that stops.
pub async fn leave(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    db_execute!(tx, LEAVE, id)
}

/// Returns the edges that have reported lately, with the time of the last report, by host.
pub async fn all(db: &Db) -> Result<Vec<(Edge, Moment)>, StoreError> {
    let rows = db_read!(db, ALL, |sql, c| query_as::<_, EdgeRow>(sql).fetch_all(c).await)?;
    Ok(rows.into_iter().map(EdgeRow::read).collect())
}

/// Deletes the edges that have not reported since a moment. Returns their number.
pub async fn prune(tx: &mut Tx, before: Moment) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, before.micros())
}

/// Enters a batch; false if it arrived before. Must be the first statement that locks something.
pub async fn begin_batch(tx: &mut Tx, id: Uuid, now: Moment) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, BEGIN_BATCH, id, now.micros())? == 1)
}

/// Forgets a batch whose edge knows that it was stored, and does not send it again.
pub async fn forget_batch(tx: &mut Tx, id: Uuid) -> Result<(), StoreError> {
    db_execute!(tx, FORGET_BATCH, id)
}

/// Forgets at most `limit` batches from before a moment. Returns their number.
pub async fn prune_batches(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE_BATCHES, before.micros(), limit)
}

impl EdgeRow {
    fn read(self) -> (Edge, Moment) {
        // A newer version may write something that this one can't parse.
        let report: EdgeReport = serde_json::from_str(&self.report).unwrap_or_default();
        let started_at = Moment::from_micros(self.started_at);
        let edge = Edge { id: self.id, host: self.host, version: self.version, started_at, report };
        (edge, Moment::from_micros(self.last_seen))
    }
}
