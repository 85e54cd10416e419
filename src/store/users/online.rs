//! Users online: those in a reply of a node that was fetched a moment ago and has been applied. These are few rows with
//! many users each. `user_traffic` has the same for one user, but for all users it would have to be read completely,
//! and an index on a column that changes with every recording would make each recording several times as expensive.

use sqlx::{query_as, query_scalar};
use uuid::Uuid;

use crate::domain::ids::{AdminId, UserId};
use crate::domain::moment::{Moment, SECOND};
use crate::domain::usage::decode_entries;
use crate::domain::user::set::UserSet;
use crate::store::engine::statement::{db_read, statements};
use crate::store::engine::{Db, IdList, StoreError};
use crate::store::nodes::expected_users;
use crate::store::users;

/// Maximum time between the start of a run, under which a reply is applied, and its fetch, in microseconds.
const LONGEST_RUN: i64 = 600 * SECOND;

statements! {
    RECENT =
        "SELECT batch_id, part FROM usage_batch
         WHERE state_at >= $2 AND fetched_at >= $1 AND state <> 'staged' AND trouble IS NULL AND payload IS NOT NULL";
    HAS_REPLIES = "SELECT EXISTS (SELECT 1 FROM usage_batch)";
    ONLINE_AT =
        "SELECT COUNT(*) FROM user_traffic AS t JOIN users AS u ON u.id = t.user_id
         WHERE t.online_at >= $1 AND u.removed = FALSE AND (CAST($2 AS BIGINT) IS NULL OR u.owner_id = $2)";
    PAYLOAD = "SELECT payload FROM usage_batch WHERE batch_id = $1 AND part = $2 AND payload IS NOT NULL";
    OWNED =>
        pg "SELECT ARRAY(SELECT id FROM users WHERE owner_id = $1 AND removed = FALSE)",
        lite "SELECT json_group_array(id) FROM users WHERE owner_id = $1 AND removed = FALSE";
}

/// Returns the number of users, of an admin or of all, with traffic at `since` or later; removed users are excluded.
/// Replies are read one after another, because together they may have millions of entries.
pub(in crate::store) async fn count(db: &Db, owner: Option<AdminId>, since: Moment) -> Result<i64, StoreError> {
    // After an import, until the first recording, only `user_traffic` knows. Reading all of it is fine for that long.
    if !db_read!(db, HAS_REPLIES, |sql, c| query_scalar::<_, bool>(sql).fetch_one(c).await)? {
        let owner = owner.map(|owner| owner.0);
        return db_read!(db, ONLINE_AT, |sql, c| {
            query_scalar::<_, i64>(sql).bind(since.micros()).bind(owner).fetch_one(c).await
        });
    }
    let state_since = since.plus(-LONGEST_RUN);
    let replies = db_read!(db, RECENT, |sql, c| {
        query_as::<_, (Uuid, i64)>(sql).bind(since.micros()).bind(state_since.micros()).fetch_all(c).await
    })?;
    // A node may report ids that no user has: ids beyond the newest user are excluded here; gaps in between are few.
    let newest = expected_users::newest(db).await?;
    let mut named = UserSet::default();
    for (id, part) in replies {
        let payload = db_read!(db, PAYLOAD, |sql, c| {
            query_scalar::<_, Vec<u8>>(sql).bind(id).bind(part).fetch_optional(c).await
        })?;
        let entries = payload.and_then(|payload| decode_entries(&payload)).unwrap_or_default();
        entries.into_iter().filter(|(user, _)| user.0 > 0 && *user <= newest).for_each(|(user, _)| named.insert(user));
    }
    let of = |ids: &IdList| named.count(ids.as_slice().iter().copied().map(UserId));
    let online = match owner {
        None if named.is_empty() => 0,
        None => named.len() - of(&users::removed(db, UserId(0), UserId(i64::MAX)).await?),
        Some(owner) => {
            of(&db_read!(db, OWNED, |sql, c| query_scalar::<_, IdList>(sql).bind(owner.0).fetch_one(c).await)?)
        }
    };
    Ok(i64::try_from(online).unwrap_or(i64::MAX))
}
