//! Lists of users: filters, sorts and pages. A list is two queries, one for the ids of a page (driven by the index of
//! its sort) and one for their rows; the total is a third.

use std::collections::HashMap;

use sqlx::{Database, Encode, QueryBuilder, Type};

use super::{Db, IdList, StoreError, users};
use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;
use crate::domain::user::User;

/// Which users a list shows; removed ones never.
#[derive(Clone, Debug, Default)]
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
#[derive(Clone, Debug, Default)]
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

/// One page.
pub async fn page(db: &Db, filter: &UserFilter, window: UserWindow, now: Moment) -> Result<Vec<User>, StoreError> {
    let ids: Vec<i64> = match db {
        Db::Pg(pool) => page_query(filter, window, now).build_query_scalar().fetch_all(pool).await,
        Db::Lite(lite) => page_query(filter, window, now).build_query_scalar().fetch_all(&lite.read).await,
    }
    .map_err(|source| StoreError::new("sarban::store::user_lists::page", source))?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = users::by_ids(db, IdList::new(ids.iter().copied())).await?;
    let mut rows: HashMap<i64, User> = rows.into_iter().map(|user| (user.id.0, user)).collect();
    Ok(ids.iter().filter_map(|id| rows.remove(id)).collect())
}

/// How many there are on all pages.
pub async fn count(db: &Db, filter: &UserFilter, now: Moment) -> Result<i64, StoreError> {
    match db {
        Db::Pg(pool) => count_query(filter, now).build_query_scalar().fetch_one(pool).await,
        Db::Lite(lite) => count_query(filter, now).build_query_scalar().fetch_one(&lite.read).await,
    }
    .map_err(|source| StoreError::new("sarban::store::user_lists::count", source))
}

fn page_query<DB: Database>(filter: &UserFilter, window: UserWindow, now: Moment) -> QueryBuilder<DB>
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let (driver, order): (&str, &[&str]) = match window.sort {
        UserSort::Id => ("users u", &["u.id"]),
        UserSort::Username => ("users u", &["u.username"]),
        UserSort::CreatedAt => ("users u", &["u.created_at", "u.id"]),
        UserSort::ExpireDate => ("users u", &["u.expire_date", "u.id"]),
        UserSort::UsedTraffic => ("user_traffic t JOIN users u ON u.id = t.user_id", &["t.used_traffic", "t.user_id"]),
        UserSort::DataLimit => ("user_traffic t JOIN users u ON u.id = t.user_id", &["t.data_limit", "t.user_id"]),
    };
    let mut sql = QueryBuilder::new("SELECT u.id FROM ");
    sql.push(driver);
    push_conditions(&mut sql, filter, now);
    sql.push(" ORDER BY ");
    let direction = if window.descending { " DESC" } else { "" };
    for (nth, column) in order.iter().enumerate() {
        sql.push(if nth == 0 { "" } else { ", " }).push(column).push(direction);
    }
    sql.push(" LIMIT ").push_bind(window.limit).push(" OFFSET ").push_bind(window.offset);
    sql
}

fn count_query<DB: Database>(filter: &UserFilter, now: Moment) -> QueryBuilder<DB>
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let mut sql = QueryBuilder::new("SELECT COUNT(*) FROM users u");
    push_conditions(&mut sql, filter, now);
    sql
}

/// Everything is said of `users u`, with literals where an index is partial. What few users are (switched off, out of
/// date, out of traffic) is asked for as a set, what most are as the absence from it.
fn push_conditions<DB: Database>(sql: &mut QueryBuilder<DB>, filter: &UserFilter, now: Moment)
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    const SPENT: &str = "SELECT r.user_id FROM user_traffic r WHERE r.data_limit_reached = TRUE";
    let now = now.micros();
    sql.push(" WHERE u.removed = FALSE");
    match &filter.names {
        Names::Any => {}
        Names::Containing(text) => {
            let pattern = format!("%{}%", text.to_lowercase().replace('\\', r"\\"));
            sql.push(" AND u.username LIKE ").push_bind(pattern).push(r" ESCAPE '\'");
        }
        Names::Exactly(names) => {
            let mut list = sql.push(" AND u.username IN (").separated(", ");
            for name in names {
                list.push_bind(name.clone());
            }
            sql.push(")");
        }
    }
    if let Some(owner) = filter.owner {
        sql.push(" AND u.owner_id = ").push_bind(owner.0);
    }
    if let Some(service) = filter.service {
        sql.push(" AND u.id IN (SELECT s.user_id FROM users_services s WHERE s.service_id = ");
        sql.push_bind(service.0).push(")");
    }
    if let Some(enabled) = filter.enabled {
        sql.push(if enabled { " AND u.enabled = TRUE" } else { " AND u.enabled = FALSE" });
    }
    if let Some(activated) = filter.activated {
        sql.push(if activated { " AND u.activated = TRUE" } else { " AND u.activated = FALSE" });
    }
    match filter.expired {
        Some(true) => sql.push(" AND u.expire_date < ").push_bind(now),
        Some(false) => push_not_expired(sql, now),
        None => sql,
    };
    match filter.data_limit_reached {
        Some(true) => sql.push(" AND u.id IN (").push(SPENT).push(")"),
        Some(false) => push_not_spent(sql),
        None => sql,
    };
    match filter.is_active {
        Some(true) => push_not_spent(push_not_expired(sql.push(" AND u.enabled = TRUE"), now)),
        Some(false) => sql
            .push(" AND u.id IN (SELECT o.id FROM users o WHERE o.removed = FALSE AND o.enabled = FALSE")
            .push(" UNION SELECT e.id FROM users e WHERE e.removed = FALSE AND e.expire_date < ")
            .push_bind(now)
            .push(" UNION ")
            .push(SPENT)
            .push(")"),
        None => sql,
    };
}

/// Only accounts with a fixed date have an `expire_date`.
fn push_not_expired<DB: Database>(sql: &mut QueryBuilder<DB>, now: i64) -> &mut QueryBuilder<DB>
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    sql.push(" AND (u.expire_date IS NULL OR u.expire_date >= ").push_bind(now).push(")")
}

fn push_not_spent<DB: Database>(sql: &mut QueryBuilder<DB>) -> &mut QueryBuilder<DB> {
    sql.push(" AND NOT EXISTS (SELECT 1 FROM user_traffic n WHERE n.user_id = u.id AND n.data_limit_reached = TRUE)")
}
