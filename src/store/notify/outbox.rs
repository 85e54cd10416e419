//! The table `outbox`: notifications to deliver, entered in the transaction that causes them.

use serde_json::{Value, json};
use sqlx::{query_as, query_scalar};

use crate::domain::moment::{DAY, Moment};
use crate::domain::notification::{Channel, DeliveryState, Destination, Notification};
use crate::store::engine::statement::{db_affected, db_execute, db_read, db_run, row, statements};
use crate::store::engine::{Db, IdList, StoreError, Tx};

statements! {
    ENTER =>
        pg "INSERT INTO outbox (channel, recipient, cause, action, user_id, payload, created_at, next_attempt_at, keep_until)
            SELECT d.channel, d.recipient, n.cause, n.action, n.user_id, n.payload, $3, $3, n.keep_until
            FROM json_to_recordset(CAST($1 AS JSON))
                AS n (nth BIGINT, cause TEXT, action TEXT, user_id BIGINT, payload TEXT, keep_until BIGINT)
            CROSS JOIN json_to_recordset(CAST($2 AS JSON)) AS d (channel TEXT, recipient TEXT)
            ORDER BY n.nth
            ON CONFLICT (cause, channel, recipient) DO NOTHING",
        lite "INSERT INTO outbox (channel, recipient, cause, action, user_id, payload, created_at, next_attempt_at, keep_until)
            SELECT d.value ->> 'channel', d.value ->> 'recipient', n.value ->> 'cause', n.value ->> 'action',
                n.value ->> 'user_id', n.value ->> 'payload', $3, $3, n.value ->> 'keep_until'
            FROM json_each($1) AS n CROSS JOIN json_each($2) AS d
            WHERE TRUE ORDER BY n.value ->> 'nth'
            ON CONFLICT (cause, channel, recipient) DO NOTHING";
    // Empty texts mean "any".
    PAGE =
        "SELECT id, channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at, finished_at, error
         FROM outbox WHERE ($1 = '' OR channel = $1) AND ($2 = '' OR state = $2)
         ORDER BY id DESC LIMIT $3 OFFSET $4";
    COUNT = "SELECT COUNT(*) FROM outbox WHERE ($1 = '' OR channel = $1) AND ($2 = '' OR state = $2)";
    BY_ID =
        "SELECT id, channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at, finished_at, error
         FROM outbox WHERE id = $1";
    // Only the oldest entry of each user is due: later ones wait for it, so that the order survives failures.
    DUE =
        "SELECT id, channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at, finished_at, error
         FROM outbox AS o
         WHERE o.channel = $1 AND o.recipient = $2 AND o.state = 'waiting' AND o.next_attempt_at <= $3
           AND NOT EXISTS (SELECT 1 FROM outbox AS e WHERE e.channel = o.channel AND e.recipient = o.recipient
                               AND e.user_id = o.user_id AND e.state = 'waiting' AND e.id < o.id)
         ORDER BY o.next_attempt_at, o.id LIMIT $4";
    ALL_DUE =
        "SELECT id, action FROM outbox
         WHERE channel = $1 AND recipient = $2 AND state = 'waiting' AND next_attempt_at <= $3 ORDER BY id LIMIT $4";
    BY_IDS =>
        pg "SELECT id, channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at, finished_at, error
            FROM outbox WHERE id = ANY($1) ORDER BY id",
        lite "SELECT id, channel, recipient, cause, action, user_id, payload, created_at, state, attempts, next_attempt_at, finished_at, error
            FROM outbox WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id";
    DELIVERED =>
        pg "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, finished_at = $2, error = NULL
            WHERE id = ANY($1) AND state = 'waiting'",
        lite "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, finished_at = $2, error = NULL
            WHERE id IN (SELECT value FROM json_each($1)) AND state = 'waiting'";
    FAILED =>
        pg "UPDATE outbox SET attempts = attempts + 1, error = $2, next_attempt_at = $4,
                state = CASE WHEN attempts + 1 >= $5 THEN 'dead' ELSE 'waiting' END,
                finished_at = CASE WHEN attempts + 1 >= $5 THEN CAST($3 AS BIGINT) END
            WHERE id = ANY($1) AND state = 'waiting'",
        lite "UPDATE outbox SET attempts = attempts + 1, error = $2, next_attempt_at = $4,
                state = CASE WHEN attempts + 1 >= $5 THEN 'dead' ELSE 'waiting' END,
                finished_at = CASE WHEN attempts + 1 >= $5 THEN CAST($3 AS BIGINT) END
            WHERE id IN (SELECT value FROM json_each($1)) AND state = 'waiting'";
    TRY_AGAIN =
        "UPDATE outbox SET state = 'waiting', attempts = 0, next_attempt_at = $2, finished_at = NULL
         WHERE id = $1 AND state <> 'delivered' RETURNING id";
    // The rows' locks are taken in the order of ids.
    TRY_DEAD_AGAIN =>
        pg "UPDATE outbox SET state = 'waiting', attempts = 0, next_attempt_at = $1, finished_at = NULL
            WHERE id = ANY(ARRAY(SELECT id FROM outbox WHERE state = 'dead' AND finished_at <= $2 AND ($3 = '' OR channel = $3)
                                 ORDER BY id LIMIT $4 FOR UPDATE)) AND state = 'dead'",
        lite "UPDATE outbox SET state = 'waiting', attempts = 0, next_attempt_at = $1, finished_at = NULL
            WHERE id IN (SELECT id FROM outbox WHERE state = 'dead' AND finished_at <= $2 AND ($3 = '' OR channel = $3)
                         ORDER BY id LIMIT $4)";
    DELETE_DEAD =>
        pg "DELETE FROM outbox
            WHERE id = ANY(ARRAY(SELECT id FROM outbox WHERE state = 'dead' AND finished_at <= $1 AND ($2 = '' OR channel = $2)
                                 ORDER BY id LIMIT $3 FOR UPDATE)) AND state = 'dead'",
        lite "DELETE FROM outbox
            WHERE id IN (SELECT id FROM outbox WHERE state = 'dead' AND finished_at <= $1 AND ($2 = '' OR channel = $2)
                         ORDER BY id LIMIT $3)";
    DELETE = "DELETE FROM outbox WHERE id = $1";
    PRUNE =
        "DELETE FROM outbox WHERE id IN
            (SELECT id FROM outbox WHERE keep_until < $1 AND (state <> 'waiting' OR keep_until < $2) ORDER BY keep_until LIMIT $3)";
}

row! {
    /// A notification for one destination.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OutboxEntry {
        /// Id, ascending in the order of entry.
        pub id: i64,
        /// Channel: webhook or telegram.
        pub channel: String,
        /// Chat on Telegram; otherwise empty.
        pub recipient: String,
        /// Cause of the notification: one row per cause and destination.
        pub cause: String,
        /// Text of the event.
        pub action: String,
        /// Name of the user.
        pub user_id: i64,
        /// JSON body of the webhook.
        pub payload: String,
        /// Time of the event, in unix microseconds.
        pub created_at: i64,
        /// State: waiting, delivered or dead.
        pub state: String,
        /// Number of attempts to deliver.
        pub attempts: i64,
        /// Time of the next attempt, in unix microseconds.
        pub next_attempt_at: i64,
        /// Time of delivery or of giving up, in unix microseconds.
        pub finished_at: Option<i64>,
        /// Reason why the last attempt failed.
        pub error: Option<String>,
    }
}

/// Filter of a list of entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only entries of this channel.
    pub channel: Option<Channel>,
    /// Only entries in this state.
    pub state: Option<DeliveryState>,
}

impl Filter {
    fn binds(self) -> (&'static str, &'static str) {
        (self.channel.map_or("", Channel::word), self.state.map_or("", DeliveryState::word))
    }
}

/// Enters notifications, in this order, for every destination. A cause that a destination has already is not entered
/// again. The caller holds the users' rows, so that the notifications of a user are in order. Returns the number of new
/// rows.
pub async fn enter(
    tx: &mut Tx,
    to: &[Destination],
    notifications: &[Notification],
    now: Moment,
) -> Result<u64, StoreError> {
    if to.is_empty() || notifications.is_empty() {
        return Ok(0);
    }
    let entry = |(nth, notification): (usize, &Notification)| {
        json!({
            "nth": nth,
            "cause": notification.cause,
            "action": notification.event.action(),
            "user_id": notification.user,
            "payload": notification.payload,
            "keep_until": notification.keep_until.micros(),
        })
    };
    let list = notifications.iter().enumerate().map(entry).collect::<Value>().to_string();
    let destination = |to: &Destination| json!({"channel": to.channel.word(), "recipient": to.recipient});
    let to = to.iter().map(destination).collect::<Value>().to_string();
    db_affected!(tx, ENTER, list, to, now.micros())
}

/// Returns a page of entries, newest first.
pub async fn page(db: &Db, filter: &Filter, offset: i64, limit: i64) -> Result<Vec<OutboxEntry>, StoreError> {
    let (channel, state) = filter.binds();
    db_read!(db, PAGE, |sql, c| {
        query_as::<_, OutboxEntry>(sql).bind(channel).bind(state).bind(limit).bind(offset).fetch_all(c).await
    })
}

/// Returns the number of entries on all pages.
pub async fn count(db: &Db, filter: &Filter) -> Result<i64, StoreError> {
    let (channel, state) = filter.binds();
    db_read!(db, COUNT, |sql, c| query_scalar::<_, i64>(sql).bind(channel).bind(state).fetch_one(c).await)
}

/// Returns an entry.
pub async fn by_id(db: &Db, id: i64) -> Result<Option<OutboxEntry>, StoreError> {
    db_read!(db, BY_ID, |sql, c| query_as::<_, OutboxEntry>(sql).bind(id).fetch_optional(c).await)
}

/// Returns the entries to send to a destination now, the longest due first, at most one per user.
pub async fn due(db: &Db, to: &Destination, now: Moment, limit: i64) -> Result<Vec<OutboxEntry>, StoreError> {
    db_read!(db, DUE, |sql, c| {
        let query = query_as::<_, OutboxEntry>(sql).bind(to.channel.word()).bind(&to.recipient);
        query.bind(now.micros()).bind(limit).fetch_all(c).await
    })
}

row! {
    /// The head of an entry.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Envelope {
        /// Id of the entry.
        pub id: i64,
        /// Text of the event.
        pub action: String,
    }
}

/// Returns the heads of all entries to send to a destination now, in the order of events.
pub async fn all_due(db: &Db, to: &Destination, now: Moment, limit: i64) -> Result<Vec<Envelope>, StoreError> {
    db_read!(db, ALL_DUE, |sql, c| {
        let query = query_as::<_, Envelope>(sql).bind(to.channel.word()).bind(&to.recipient);
        query.bind(now.micros()).bind(limit).fetch_all(c).await
    })
}

/// Returns these entries, in the order of events.
pub async fn by_ids(db: &Db, ids: IdList) -> Result<Vec<OutboxEntry>, StoreError> {
    db_read!(db, BY_IDS, |sql, c| query_as::<_, OutboxEntry>(sql).bind(ids).fetch_all(c).await)
}

/// Marks entries as delivered.
pub async fn delivered(tx: &mut Tx, ids: IdList, now: Moment) -> Result<(), StoreError> {
    db_execute!(tx, DELIVERED, ids, now.micros())
}

/// Records a failed attempt to deliver entries: the next one is at `next`, unless this was the last of `attempts`.
pub async fn failed(
    tx: &mut Tx,
    ids: IdList,
    error: &str,
    now: Moment,
    next: Moment,
    attempts: u32,
) -> Result<(), StoreError> {
    db_execute!(tx, FAILED, ids, error, now.micros(), next.micros(), i64::from(attempts))
}

/// Schedules an entry for immediate delivery with a fresh count of attempts. False: it is delivered already, or does
/// not exist.
pub async fn try_again(tx: &mut Tx, id: i64, now: Moment) -> Result<bool, StoreError> {
    db_run!(tx, TRY_AGAIN, |sql, c| {
        query_scalar::<_, i64>(sql).bind(id).bind(now.micros()).fetch_optional(c).await.map(|id| id.is_some())
    })
}

/// Schedules at most `limit` dead entries for immediate delivery with a fresh count of attempts: those that were given up
/// until `until`, on one channel or on all. Returns their number.
pub async fn try_dead_again(
    tx: &mut Tx,
    channel: Option<Channel>,
    until: Moment,
    now: Moment,
    limit: i64,
) -> Result<u64, StoreError> {
    let channel = channel.map_or("", Channel::word);
    db_affected!(tx, TRY_DEAD_AGAIN, now.micros(), until.micros(), channel, limit)
}

/// Deletes at most `limit` dead entries: those that were given up until `until`, on one channel or on all. Returns their
/// number.
pub async fn delete_dead(tx: &mut Tx, channel: Option<Channel>, until: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, DELETE_DEAD, until.micros(), channel.map_or("", Channel::word), limit)
}

/// Deletes an entry in any state. False: it does not exist.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<bool, StoreError> {
    Ok(db_affected!(tx, DELETE, id)? > 0)
}

/// Deletes at most `limit` entries that are done and past their retention, or that have waited a month longer because
/// their destination is no longer configured. Returns their number.
pub async fn prune(tx: &mut Tx, now: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, now.micros(), now.plus(-30 * DAY).micros(), limit)
}
