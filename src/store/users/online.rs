//! Who is online: whoever was named by a reply of a node that was fetched a moment ago and is applied. Those are few rows
//! with many users each. `user_traffic` says the same of one user; to ask it of all is to read all of it, and an index on
//! what changes with every recording would make each recording several times as dear.

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

/// A reply is applied under the moment at which its run began: so much earlier than it was fetched, at most.
const LONGEST_RUN: i64 = 600 * SECOND;

statements! {
    RECENT =
        "SELECT batch_id, part FROM usage_batch
         WHERE state_at >= $2 AND fetched_at >= $1 AND state <> 'staged' AND trouble IS NULL AND payload IS NOT NULL";
    PAYLOAD = "SELECT payload FROM usage_batch WHERE batch_id = $1 AND part = $2 AND payload IS NOT NULL";
    OWNED =>
        pg "SELECT ARRAY(SELECT id FROM users WHERE owner_id = $1 AND removed = FALSE)",
        lite "SELECT json_group_array(id) FROM users WHERE owner_id = $1 AND removed = FALSE";
}

/// How many users, of an admin or of all, had traffic at `since` or later; removed ones never. One reply after another is
/// read: all of them may be millions of entries.
pub(in crate::store) async fn count(db: &Db, owner: Option<AdminId>, since: Moment) -> Result<i64, StoreError> {
    let state_since = since.plus(-LONGEST_RUN);
    let replies = db_read!(db, RECENT, |sql, c| {
        query_as::<_, (Uuid, i64)>(sql).bind(since.micros()).bind(state_since.micros()).fetch_all(c).await
    })?;
    // A node may know ids that nobody has here: those that were never given, but for the few that were skipped.
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
