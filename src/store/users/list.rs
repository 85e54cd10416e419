//! Lists of users: filters, sorts and pages, quick with a million of them. The total comes first, because it says how to
//! find the page (`user_list_page.rs`).

use sqlx::query_scalar;

use super::list_count::count_query;
use super::list_page::PageQuery;
use super::owner_totals;
use super::row::{UserRow, rows_in_text, user_columns};
use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;
use crate::domain::user::User;
use crate::store::{Db, Engine, StoreError, read, statements};

/// Which users a list shows; removed ones never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserFilter {
    /// By name.
    pub names: Names,
    /// Those of this admin.
    pub owner: Option<AdminId>,
    /// Those with this service.
    pub service: Option<ServiceId>,
    /// Those whose account works, or does not.
    pub is_active: Option<bool>,
    /// Those whom the nodes were told of, or not.
    pub activated: Option<bool>,
    /// Those whose fixed date has passed, or not.
    pub expired: Option<bool>,
    /// Those who have used up their traffic, or not.
    pub data_limit_reached: Option<bool>,
    /// Those switched on, or off.
    pub enabled: Option<bool>,
}

/// Users by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Names {
    /// All.
    #[default]
    Any,
    /// Those that contain this text in any case; `%` and `_` stand for any letters and any letter.
    Containing(String),
    /// Exactly these.
    Exactly(Vec<String>),
}

/// What a list is sorted by; equal ones by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserSort {
    /// The row.
    #[default]
    Id,
    /// The name, by code point.
    Username,
    /// Bytes used.
    UsedTraffic,
    /// The limit.
    DataLimit,
    /// The fixed date.
    ExpireDate,
    /// When the user was made.
    CreatedAt,
}

impl UserSort {
    /// The word of the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Username => "username",
            Self::UsedTraffic => "used_traffic",
            Self::DataLimit => "data_limit",
            Self::ExpireDate => "expire_date",
            Self::CreatedAt => "created_at",
        }
    }
}

/// Which part of which order.
#[derive(Clone, Copy, Debug)]
pub struct UserWindow {
    /// What it is sorted by.
    pub sort: UserSort,
    /// The other way round.
    pub descending: bool,
    /// So many are left out first.
    pub offset: i64,
    /// At most so many.
    pub limit: i64,
}

/// How many users there are: what says how to find a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Those that match the filter.
    pub matching: i64,
    /// All that are not removed.
    pub everybody: i64,
}

statements! {
    SEARCH_INDEX =>
        pg "SELECT EXISTS (SELECT 1 FROM pg_indexes
                           WHERE schemaname = current_schema() AND indexname = 'user_names_parts')",
        lite "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'users_fts')";
}

/// Whether parts of names are found by an index. On PostgreSQL it needs the extension pg_trgm, which not every role may
/// create.
pub async fn search_is_indexed(db: &Db) -> Result<bool, StoreError> {
    read!(db, SEARCH_INDEX, |sql, c| query_scalar::<_, bool>(sql).fetch_one(c).await)
}

/// One page. `totals` may be a little old: they decide how the page is found, and where the end is.
pub async fn page(
    db: &Db,
    filter: &UserFilter,
    window: UserWindow,
    totals: Totals,
    now: Moment,
) -> Result<Vec<User>, StoreError> {
    let Some(query) = PageQuery::of(db.engine(), filter, window, totals, now) else { return Ok(Vec::new()) };
    // A text per page would push the others out of the connection's cache.
    let keep = query.is_common();
    let rows: sqlx::Result<Vec<UserRow>> = match db {
        Db::Pg(pool) => {
            let mut sql = query.rows::<sqlx::Postgres>(user_columns!(pg));
            sql.build_query_as().persistent(keep).fetch_all(pool).await.map(|mut rows: Vec<UserRow>| {
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
    let rows = rows.map_err(|source| StoreError::new("sarban::store::users::list::page", source))?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// How many there are on all pages.
pub async fn count(db: &Db, filter: &UserFilter, now: Moment) -> Result<i64, StoreError> {
    let everybody = UserFilter { owner: filter.owner, ..UserFilter::default() };
    if *filter == everybody {
        return owner_totals::users(db, filter.owner).await;
    }
    // What most users are is what is left of all without the few that are not.
    if let Some(others) = filter.others() {
        let (all, others) = tokio::try_join!(owner_totals::users(db, filter.owner), count_matching(db, &others, now))?;
        return Ok(all - others);
    }
    count_matching(db, filter, now).await
}

async fn count_matching(db: &Db, filter: &UserFilter, now: Moment) -> Result<i64, StoreError> {
    match db {
        Db::Pg(pool) => {
            count_query::<sqlx::Postgres>(Engine::Postgres, filter, now).build_query_scalar().fetch_one(pool).await
        }
        Db::Lite(lite) => {
            count_query::<sqlx::Sqlite>(Engine::Sqlite, filter, now).build_query_scalar().fetch_one(&lite.read).await
        }
    }
    .map_err(|source| StoreError::new("sarban::store::users::list::count", source))
}
