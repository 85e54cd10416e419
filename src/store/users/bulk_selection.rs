//! The users of a bulk change: those of a filter, part by part in the order of ids.
//!
//! Candidates are read outside of transactions, in one pass over the users for all parts together. Within the
//! transaction, those who still match are selected from locked rows.

use sqlx::{Database, Encode, QueryBuilder, Type, query_scalar};

use super::list_conditions::{Form, push_conditions};
use super::list_filter::{UserFilter, UserSort};
use super::review;
use crate::domain::ids::UserId;
use crate::domain::moment::Moment;
use crate::store::engine::statement::{db_read, statements};
use crate::store::engine::{Db, Engine, IdList, StoreError, Tx};

statements! {
    LAST = "SELECT COALESCE(MAX(id), 0) FROM users";
}

/// Names of the statements that are built per filter.
const MATCHING: &str = concat!(module_path!(), "::MATCHING");
const STILL_MATCHING: &str = concat!(module_path!(), "::STILL_MATCHING");

/// Returns the highest id of a user.
pub async fn last(db: &Db) -> Result<UserId, StoreError> {
    db_read!(db, LAST, |sql, c| query_scalar::<_, i64>(sql).fetch_one(c).await).map(UserId)
}

/// Returns the first `limit` users by id that match, after one id and up to another.
pub async fn matching(
    db: &Db,
    filter: &UserFilter,
    (after, up_to): (UserId, UserId),
    limit: i64,
    now: Moment,
) -> Result<IdList, StoreError> {
    // By hand, because the texts are built per engine.
    match db {
        Db::Pg(pool) => {
            let mut sql = range_query::<sqlx::Postgres>(Engine::Postgres, filter, (after, up_to), limit, now);
            sql.build_query_scalar().fetch_all(pool.for_statement(MATCHING)).await
        }
        Db::Lite(lite) => {
            let mut sql = range_query::<sqlx::Sqlite>(Engine::Sqlite, filter, (after, up_to), limit, now);
            sql.build_query_scalar().fetch_all(&lite.read).await
        }
    }
    .map(|ids: Vec<i64>| IdList::new(ids))
    .map_err(|source| db.failed(MATCHING, source))
}

/// Locks these users and returns those who match now.
pub async fn lock_matching(
    tx: &mut Tx,
    filter: &UserFilter,
    users: &IdList,
    now: Moment,
) -> Result<IdList, StoreError> {
    review::lock(tx, users).await?;
    // Along no index of a condition: the ids are given.
    let form = Form::PerRow { sort: UserSort::CreatedAt };
    let found: sqlx::Result<Vec<i64>> = match &mut *tx {
        Tx::Pg(tx) => {
            let mut sql = QueryBuilder::<sqlx::Postgres>::new("SELECT u.id FROM users u");
            sql.push(traffic(filter)).push(" WHERE u.id = ANY(").push_bind(users).push(") AND ");
            push_conditions(&mut sql, Engine::Postgres, filter, form, now);
            sql.build_query_scalar().fetch_all(&mut *tx).await
        }
        Tx::Lite { tx, .. } => {
            let mut sql = QueryBuilder::<sqlx::Sqlite>::new("SELECT u.id FROM json_each(");
            sql.push_bind(users).push(") w CROSS JOIN users u");
            sql.push(traffic(filter)).push(" WHERE u.id = w.value AND ");
            push_conditions(&mut sql, Engine::Sqlite, filter, form, now);
            sql.build_query_scalar().fetch_all(&mut **tx).await
        }
    };
    found.map(IdList::new).map_err(|source| tx.failed(STILL_MATCHING, source))
}

fn range_query<DB: Database>(
    engine: Engine,
    filter: &UserFilter,
    (after, up_to): (UserId, UserId),
    limit: i64,
    now: Moment,
) -> QueryBuilder<DB>
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let mut sql = QueryBuilder::new("SELECT u.id FROM users u");
    sql.push(traffic(filter)).push(" WHERE u.id > ").push_bind(after.0);
    sql.push(" AND u.id <= ").push_bind(up_to.0).push(" AND ");
    push_conditions(&mut sql, engine, filter, Form::PerRow { sort: UserSort::Id }, now);
    // As a literal, which PostgreSQL plans for.
    sql.push(" ORDER BY u.id LIMIT ").push(limit);
    sql
}

const fn traffic(filter: &UserFilter) -> &'static str {
    if filter.asks_for_traffic() { " JOIN user_traffic t ON t.user_id = u.id" } else { "" }
}
