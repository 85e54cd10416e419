//! Who is online: whoever was named by a reply of a node that was fetched a moment ago and is applied. Those are few rows
//! with many users each. `user_traffic` says the same of one user; to ask it of all is to read all of it, and an index on
//! what changes with every recording would make each recording several times as dear.

use sqlx::query_scalar;

use super::{Db, IdList, StoreError, read, services, statements};
use crate::domain::ids::{AdminId, UserId};
use crate::domain::moment::{Moment, SECOND};
use crate::domain::usage::decode_entries;

/// A reply is applied under the moment at which its run began: so much earlier than it was fetched, at most.
const LONGEST_RUN: i64 = 600 * SECOND;

statements! {
    RECENT =
        "SELECT payload FROM usage_batch
         WHERE state_at >= $2 AND fetched_at >= $1 AND state <> 'staged' AND trouble IS NULL AND payload IS NOT NULL";
    OWNED =>
        pg "SELECT ARRAY(SELECT id FROM users WHERE owner_id = $1 AND removed = FALSE)",
        lite "SELECT json_group_array(id) FROM users WHERE owner_id = $1 AND removed = FALSE";
}

/// How many users, of an admin or of all, had traffic at `since` or later; removed ones never.
pub(super) async fn count(db: &Db, owner: Option<AdminId>, since: Moment) -> Result<i64, StoreError> {
    let state_since = since.plus(-LONGEST_RUN);
    let payloads = read!(db, RECENT, |sql, c| {
        query_scalar::<_, Vec<u8>>(sql).bind(since.micros()).bind(state_since.micros()).fetch_all(c).await
    })?;
    let replies = payloads.iter().filter_map(|payload| decode_entries(payload));
    let named = IdList::new(replies.flatten().map(|(user, _)| user.0));
    let (Some(&first), Some(&last)) = (named.as_slice().first(), named.as_slice().last()) else { return Ok(0) };
    let all = named.as_slice().len();
    let online = match owner {
        None => named.without(&services::removed(db, UserId(first - 1), UserId(last)).await?).as_slice().len(),
        Some(owner) => {
            let owned = read!(db, OWNED, |sql, c| query_scalar::<_, IdList>(sql).bind(owner.0).fetch_one(c).await)?;
            all - named.without(&owned).as_slice().len()
        }
    };
    Ok(i64::try_from(online).unwrap_or(i64::MAX))
}
