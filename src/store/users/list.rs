//! Lists of users: filtered, sorted and paged, fast with a million users. The totals are counted first, because they
//! decide how the page is found (`list_page`).

use sqlx::query_scalar;

use super::list_count::count_query;
pub use super::list_filter::{Names, NearlyLimited, Totals, UserFilter, UserSort, UserWindow};
use super::list_page::PageQuery;
use super::owner_totals;
use super::row::{UserRow, rows_in_text, user_columns};
use crate::domain::moment::Moment;
use crate::domain::user::User;
use crate::store::engine::statement::{db_read, statements};
use crate::store::engine::{Db, Engine, StoreError};

statements! {
    SEARCH_INDEX =>
        pg "SELECT EXISTS (SELECT 1 FROM pg_indexes
                           WHERE schemaname = current_schema() AND indexname = 'user_names_parts')",
        lite "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'users_fts')";
}

/// Names of the statements that are built per filter.
const PAGE: &str = concat!(module_path!(), "::PAGE");
const COUNT: &str = concat!(module_path!(), "::COUNT");

/// True if an index finds parts of names. On PostgreSQL it needs the extension pg_trgm, which not every role may
/// create.
pub async fn search_is_indexed(db: &Db) -> Result<bool, StoreError> {
    db_read!(db, SEARCH_INDEX, |sql, c| query_scalar::<_, bool>(sql).fetch_one(c).await)
}

/// Returns a page. `totals` may be slightly outdated: they decide how the page is found and where the list ends.
pub async fn page(
    db: &Db,
    filter: &UserFilter,
    window: UserWindow,
    totals: Totals,
    now: Moment,
) -> Result<Vec<User>, StoreError> {
    let Some(query) = PageQuery::of(db.engine(), filter, window, totals, now) else { return Ok(Vec::new()) };
    // The text of a page further on is rare; cached, it would evict others from the connection's cache.
    let keep = query.is_common();
    // By hand, because the texts are built per engine, and SQLite returns all rows as one text.
    let rows: sqlx::Result<Vec<UserRow>> = match db {
        Db::Pg(pool) => {
            let mut sql = query.rows::<sqlx::Postgres>(user_columns!(pg));
            let rows = sql.build_query_as().persistent(keep).fetch_all(pool.for_statement(PAGE)).await;
            rows.map(|mut rows: Vec<UserRow>| {
                query.sort(&mut rows);
                rows
            })
        }
        Db::Lite(lite) => {
            let mut sql = query.rows::<sqlx::Sqlite>(user_columns!(lite text));
            sql.push(")");
            let text = sql.build_query_scalar().persistent(keep).fetch_one(&lite.read).await;
            text.and_then(|text: String| rows_in_text(&text))
        }
    };
    let rows = rows.map_err(|source| db.failed(PAGE, source))?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Returns the number of users on all pages.
pub async fn count(db: &Db, filter: &UserFilter, now: Moment) -> Result<i64, StoreError> {
    let everybody = UserFilter { owner: filter.owner, ..UserFilter::default() };
    if *filter == everybody {
        return owner_totals::users(db, filter.owner).await;
    }
    // If the filter matches most users, the rest is counted and subtracted.
    if let Some(others) = filter.others() {
        let (all, others) = tokio::try_join!(owner_totals::users(db, filter.owner), count_matching(db, &others, now))?;
        return Ok(all - others);
    }
    count_matching(db, filter, now).await
}

async fn count_matching(db: &Db, filter: &UserFilter, now: Moment) -> Result<i64, StoreError> {
    // By hand, because the texts are built per engine.
    match db {
        Db::Pg(pool) => {
            let mut sql = count_query::<sqlx::Postgres>(Engine::Postgres, filter, now);
            sql.build_query_scalar().fetch_one(pool.for_statement(COUNT)).await
        }
        Db::Lite(lite) => {
            count_query::<sqlx::Sqlite>(Engine::Sqlite, filter, now).build_query_scalar().fetch_one(&lite.read).await
        }
    }
    .map_err(|source| db.failed(COUNT, source))
}
