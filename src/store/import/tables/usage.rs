//! Hours of users and nodes: millions of narrow rows.

use super::rows::Stored;
use crate::store::engine::postgres::PgTx;
use crate::store::engine::statement::{db_execute, row, statements};
use crate::store::engine::{Statement, StoreError, Tx};
use futures_util::{Stream, StreamExt};

statements! {
    // A day is exported as its first hour, which may have a row of its own.
    USER_HOURS =
        "SELECT user_id, hour, node_id, CAST(SUM(counted) AS BIGINT) AS counted
         FROM (SELECT user_id, hour, node_id, counted FROM user_usage_hours
               UNION ALL SELECT user_id, day, node_id, counted FROM user_usage_days) AS hours
         GROUP BY user_id, hour, node_id ORDER BY hour, user_id, node_id";
    NODE_HOURS =
        "SELECT node_id, hour, CAST(SUM(uplink) AS BIGINT) AS uplink, CAST(SUM(downlink) AS BIGINT) AS downlink
         FROM (SELECT node_id, hour, uplink, downlink FROM node_usage_hours
               UNION ALL SELECT node_id, day, uplink, downlink FROM node_usage_days) AS hours
         GROUP BY node_id, hour ORDER BY hour, node_id";
    // Ten million rows are loaded without indexes, which are built afterwards by one sort. On SQLite the primary key is
    // the table itself and stays.
    UNINDEX =>
        pg "DO $$ BEGIN
                ALTER TABLE user_usage_hours DROP CONSTRAINT user_usage_hours_pkey;
                DROP INDEX user_usage_hours_hour;
            END $$",
        lite "DROP INDEX user_usage_hours_hour";
    LOAD =>
        pg "COPY user_usage_hours (user_id, hour, node_id, counted) FROM STDIN (FORMAT BINARY)",
        lite "INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE TRUE
            ON CONFLICT (user_id, hour, node_id) DO UPDATE SET counted = user_usage_hours.counted + excluded.counted";
    // Duplicate rows of an hour are added up only if the primary key finds any: a search for them takes as long as
    // building the key.
    INDEX =>
        pg "DO $$ BEGIN
                PERFORM set_config('maintenance_work_mem', '256MB', TRUE);
                BEGIN
                    ALTER TABLE user_usage_hours ADD PRIMARY KEY (user_id, hour, node_id);
                EXCEPTION WHEN unique_violation THEN
                    WITH doubled AS (
                        SELECT user_id, hour, node_id, CAST(SUM(counted) AS BIGINT) AS counted
                        FROM user_usage_hours GROUP BY user_id, hour, node_id HAVING COUNT(*) > 1
                    ), gone AS (
                        DELETE FROM user_usage_hours h USING doubled d
                        WHERE h.user_id = d.user_id AND h.hour = d.hour AND h.node_id = d.node_id
                    )
                    INSERT INTO user_usage_hours (user_id, hour, node_id, counted)
                    SELECT user_id, hour, node_id, counted FROM doubled;
                    ALTER TABLE user_usage_hours ADD PRIMARY KEY (user_id, hour, node_id);
                END;
                CREATE INDEX user_usage_hours_hour ON user_usage_hours (hour);
            END $$",
        lite "CREATE INDEX IF NOT EXISTS user_usage_hours_hour ON user_usage_hours (hour)";
}

row! {
    /// Traffic of a user on a node in an hour. The order is that of the table's primary key.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct UserHour {
        /// The user; 0: a deleted user.
        pub user_id: i64,
        /// Start of the hour, in unix microseconds.
        pub hour: i64,
        /// The node; 0: a deleted node.
        pub node_id: i64,
        /// Bytes multiplied by the node's coefficient.
        pub counted: i64,
    }
}

row! {
    /// Traffic of a node in an hour.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NodeHour {
        /// The node; 0: a deleted node.
        pub node_id: i64,
        /// Start of the hour, in unix microseconds.
        pub hour: i64,
        /// Bytes.
        pub uplink: i64,
        /// Bytes.
        pub downlink: i64,
    }
}

impl Stored for UserHour {
    const SELECT: Statement = USER_HOURS;
}

impl Stored for NodeHour {
    const SELECT: Statement = NODE_HOURS;
}

/// Loads the hours of users into the empty table, from chunks of rows. Rows of the same hour, user and node are added
/// up. On PostgreSQL the role must own the table.
pub async fn load_user_hours<E: From<StoreError>>(
    tx: &mut Tx,
    mut chunks: impl Stream<Item = Result<Vec<UserHour>, E>> + Unpin,
) -> Result<(), E> {
    db_execute!(&mut *tx, UNINDEX)?;
    match tx {
        Tx::Pg(tx) => copy(tx, chunks).await?,
        Tx::Lite { .. } => {
            while let Some(hours) = chunks.next().await {
                insert(tx, hours?).await?;
            }
        }
    }
    Ok(db_execute!(tx, INDEX)?)
}

/// Inserts in the order of the table, so that neighbouring rows are written together.
async fn insert(tx: &mut Tx, mut hours: Vec<UserHour>) -> Result<(), StoreError> {
    hours.sort_unstable();
    let rows: Vec<[i64; 4]> = hours.iter().map(|it| [it.user_id, it.hour, it.node_id, it.counted]).collect();
    // Lists of numbers always serialize.
    let rows = serde_json::to_string(&rows).unwrap_or_default();
    db_execute!(tx, LOAD, rows)
}

/// Loads all rows by one COPY: the server writes while the next rows are read.
async fn copy<E: From<StoreError>>(
    tx: &mut PgTx,
    mut chunks: impl Stream<Item = Result<Vec<UserHour>, E>> + Unpin,
) -> Result<(), E> {
    let failed = |source| StoreError::new(LOAD.name, source);
    let mut copy = tx.connection().map_err(failed)?.copy_in_raw(LOAD.pg).await.map_err(failed)?;
    copy.send(COPY_BEGINS).await.map_err(failed)?;
    while let Some(hours) = chunks.next().await {
        match hours {
            Ok(hours) => copy.send(tuples(&hours)).await.map(drop).map_err(failed)?,
            Err(error) => {
                // The first error is the one to report.
                let _ = copy.abort("reading failed").await;
                return Err(error);
            }
        }
    }
    copy.send(COPY_ENDS).await.map_err(failed)?;
    copy.finish().await.map_err(failed)?;
    Ok(())
}

/// PostgreSQL's binary COPY: a header without flags and extension, then tuples, then a length of -1.
const COPY_BEGINS: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COPY_ENDS: &[u8] = &(-1_i16).to_be_bytes();

/// Encodes tuples of four numbers: the number of columns, then the length and the bytes of each.
fn tuples(hours: &[UserHour]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hours.len() * (2 + 4 * (4 + 8)));
    for it in hours {
        bytes.extend(4_i16.to_be_bytes());
        for number in [it.user_id, it.hour, it.node_id, it.counted] {
            bytes.extend(8_i32.to_be_bytes());
            bytes.extend(number.to_be_bytes());
        }
    }
    bytes
}
