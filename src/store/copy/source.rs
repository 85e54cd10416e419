//! The database as a source of copies: pages of users, the part that all subscriptions share, and the log of changes
//! (the table `copy_change`, filled by triggers).

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::copy::{CopiedUser, Position, Update, UserPage};
use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::domain::user::{Owner, User};
use crate::store::engine::statement::{db_affected, db_read, row, statements};
use crate::store::engine::{Condition, Db, Engine, IdList, StoreError, Tx};
use crate::store::hosts::subscription_sources;
use crate::store::users;
use crate::store::users::row::{UserRow, user_columns, user_joins};
use crate::subscription::shared_part::SharedPart;

/// Rows of the log in one update.
const ROWS: usize = 256;
/// Users in one update, at most, unless a single row of the log has more.
const USERS: usize = 2_000;

statements! {
    // The id of the database, the changes that can be seen now, the number of the newest one, and the time.
    STATE =>
        pg "SELECT identity, CAST(txid_current_snapshot() AS TEXT) AS snapshot,
                   txid_snapshot_xmax(txid_current_snapshot()) AS newest,
                   CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS at
            FROM copy_source WHERE id = 1",
        lite "SELECT s.identity, CAST(s.seq AS TEXT) AS snapshot, s.seq AS newest, unixepoch() * 1000000 AS at
              FROM (SELECT identity, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'copy_change'), 0) AS seq
                    FROM copy_source WHERE id = 1) AS s";
    // A file from a back-up of the server, or of another server after a failover, has another history of transactions.
    INCARNATION =>
        pg "SELECT CAST(s.system_identifier AS TEXT) || '/' || CAST(c.timeline_id AS TEXT)
            FROM pg_control_system() AS s, pg_control_checkpoint() AS c",
        lite "SELECT ''";
    // Changes that the second snapshot shows and the first one does not. On SQLite a row has one user; the text is that of a list all
    // the same.
    CHANGES =>
        pg "SELECT id, transaction_id, users FROM copy_change
            WHERE transaction_id >= txid_snapshot_xmin(CAST(CAST($1 AS TEXT) AS txid_snapshot))
              AND NOT txid_visible_in_snapshot(transaction_id, CAST(CAST($1 AS TEXT) AS txid_snapshot))
              AND txid_visible_in_snapshot(transaction_id, CAST(CAST($2 AS TEXT) AS txid_snapshot))
              AND (transaction_id, id) > ($3, $4)
            ORDER BY transaction_id, id LIMIT $5",
        lite "SELECT id, id AS transaction_id, CASE WHEN user_id IS NOT NULL THEN json_array(user_id) END AS users FROM copy_change
              WHERE id > CAST($1 AS INTEGER) AND id <= CAST($2 AS INTEGER) AND (id, id) > ($3, $4) ORDER BY id LIMIT $5";
    // PostgreSQL walks along both primary keys, and would begin with the first row of the second one without its condition.
    PAGE =>
        pg concat!(
            user_columns!(pg),
            " FROM users u JOIN user_traffic t ON t.user_id = u.id",
            user_joins!(looked up),
            " WHERE u.id > $1 AND t.user_id > $1 AND u.removed = FALSE ORDER BY u.id LIMIT $2"
        ),
        lite concat!(
            user_columns!(lite),
            " FROM users u",
            user_joins!(),
            " WHERE u.id > $1 AND u.removed = FALSE ORDER BY u.id LIMIT $2"
        );
    OWNERS = "SELECT id, username, subscription_url_prefix FROM admins ORDER BY id";
    PRUNE =
        "DELETE FROM copy_change WHERE id IN
             (SELECT o.id FROM (SELECT id, changed_at FROM copy_change ORDER BY id LIMIT $2) AS o WHERE o.changed_at < $1)";
}

row! {
    struct StateRow {
        identity: Uuid,
        snapshot: String,
        newest: i64,
        at: i64,
    }
}

row! {
    struct ChangeRow {
        id: i64,
        transaction_id: i64,
        users: Option<IdList>,
    }
}

/// Returns the position of now: what is read afterwards has all changes before it.
pub async fn position(db: &Db) -> Result<Position, StoreError> {
    let state = state(db).await?;
    Ok(Position {
        database: state.identity.simple().to_string(),
        incarnation: incarnation(db).await?,
        from: state.snapshot,
        to: None,
        at: state.at,
    })
}

/// Returns what changed after a position, a part at a time. `None`: the log does not reach back to it, or the database is another
/// one.
pub async fn update(db: &Db, position: &Position) -> Result<Option<Update>, StoreError> {
    // Before the log is read: all that it shows is in the log then.
    let state = state(db).await?;
    let is_of_another =
        position.database != state.identity.simple().to_string() || newest(&position.from) > state.newest;
    if is_of_another || position.is_too_old(Moment::from_micros(state.at)) {
        return Ok(None);
    }
    let (to, after) = match &position.to {
        Some((to, transaction, row)) => (to.clone(), (*transaction, *row)),
        None => (state.snapshot, (i64::MIN, i64::MIN)),
    };
    let rows = changes(db, &position.from, &to, after).await?;
    let (mut ids, mut is_shared, mut last) = (Vec::new(), false, None);
    for row in &rows {
        let users = row.users.as_ref().map_or(0, |users| users.as_slice().len());
        if last.is_some() && ids.len() + users > USERS {
            break;
        }
        match &row.users {
            Some(users) => ids.extend_from_slice(users.as_slice()),
            None => is_shared = true,
        }
        last = Some((row.transaction_id, row.id));
    }
    let is_cut = last != rows.last().map(|row| (row.transaction_id, row.id)) || rows.len() == ROWS;
    // Further changes, which came after the snapshot, are read with the next one.
    let has_more = is_cut || position.to.is_some();
    let position = match last {
        Some((transaction, row)) if is_cut => Position { to: Some((to, transaction, row)), ..position.clone() },
        _ => Position { from: to, to: None, at: state.at, ..position.clone() },
    };
    let (users, gone) = now(db, IdList::new(ids)).await?;
    let shared = if is_shared { Some(shared_part(db).await?.json()) } else { None };
    Ok(Some(Update { users, gone, shared, position: position.text(), has_more }))
}

/// Returns up to `limit` users after an id.
pub async fn page(db: &Db, after: i64, limit: i64) -> Result<UserPage, StoreError> {
    let rows = db_read!(db, PAGE, |sql, c| query_as::<_, UserRow>(sql).bind(after).bind(limit).fetch_all(c).await)?;
    Ok(UserPage { users: rows.into_iter().filter_map(|row| CopiedUser::of(User::from(row))).collect() })
}

/// Returns the part that all subscriptions share.
pub async fn shared_part(db: &Db) -> Result<SharedPart, StoreError> {
    let owners = db_read!(db, OWNERS, |sql, c| query_as::<_, (i64, String, String)>(sql).fetch_all(c).await)?;
    let owner = |(id, username, subscription_url_prefix)| Owner { id: AdminId(id), username, subscription_url_prefix };
    Ok(SharedPart { owners: owners.into_iter().map(owner).collect(), ..subscription_sources::shared_part(db).await? })
}

/// Deletes rows of the log from before this moment; looks at the `limit` oldest ones. Returns how many.
pub async fn prune(tx: &mut Tx, before: Moment, limit: i64) -> Result<u64, StoreError> {
    db_affected!(tx, PRUNE, before.micros(), limit)
}

async fn state(db: &Db) -> Result<StateRow, StoreError> {
    db_read!(db, STATE, |sql, c| query_as::<_, StateRow>(sql).fetch_one(c).await)
}

/// Returns the incarnation of the server; empty where the server does not say.
pub async fn incarnation(db: &Db) -> Result<String, StoreError> {
    if db.engine() == Engine::Sqlite {
        return Ok(String::new());
    }
    match db_read!(db, INCARNATION, |sql, c| query_scalar::<_, String>(sql).fetch_one(c).await) {
        Err(error) if matches!(error.condition(), None | Some(Condition::AccessRefused)) => Ok(String::new()),
        other => other,
    }
}

/// Number of the newest change that a snapshot may show: on PostgreSQL the first transaction that it does not.
fn newest(snapshot: &str) -> i64 {
    let number = snapshot.split(':').nth(1).unwrap_or(snapshot);
    number.parse().unwrap_or(i64::MAX)
}

async fn changes(db: &Db, from: &str, to: &str, after: (i64, i64)) -> Result<Vec<ChangeRow>, StoreError> {
    let limit = i64::try_from(ROWS).unwrap_or(i64::MAX);
    db_read!(db, CHANGES, |sql, c| {
        query_as::<_, ChangeRow>(sql).bind(from).bind(to).bind(after.0).bind(after.1).bind(limit).fetch_all(c).await
    })
}

/// Returns these users as they are now, and the ids of those that are gone.
async fn now(db: &Db, ids: IdList) -> Result<(Vec<CopiedUser>, Vec<i64>), StoreError> {
    if ids.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let found = users::by_ids(db, ids.clone()).await?;
    let mut copied: Vec<CopiedUser> = found.into_iter().filter_map(CopiedUser::of).collect();
    copied.sort_unstable_by_key(|user| user.id);
    let is_gone = |id: &i64| copied.binary_search_by_key(id, |user| user.id).is_err();
    let gone = ids.as_slice().iter().copied().filter(is_gone).collect();
    Ok((copied, gone))
}
