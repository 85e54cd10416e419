//! Lists of users: filters, sorts and pages, quick with a million of them.
//!
//! The total comes first, because it says how to find the page's ids: few matches are collected and sorted; for many,
//! the index of the sort is walked until the page is full, from whichever end is nearer. Left to themselves, both
//! engines would guess, and a wrong guess reads everything. The rows are read for those ids alone.

use sqlx::{Database, Encode, QueryBuilder, Type, query_scalar};

use super::user_conditions::{Form, push_conditions, push_not_expired};
use super::user_row::{UserRow, user_columns, user_joins, users_in_text};
use super::{Db, Engine, StoreError, owner_totals, read, statements};
use crate::domain::ids::{AdminId, ServiceId};
use crate::domain::moment::Moment;
use crate::domain::user::User;

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

/// A part of an order, read from whichever end is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    offset: i64,
    limit: i64,
    /// From the end, in the other direction.
    backwards: bool,
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
    let Some(reading) = Reading::of(window, totals.matching) else { return Ok(Vec::new()) };
    let walk = walks(filter, window.sort, reading, totals);
    // A text per page would push the others out of the connection's cache.
    let keep = reading.offset == 0;
    let sql =
        |engine| PageQuery { engine, filter, sort: window.sort, descending: window.descending, reading, walk, now };
    match db {
        Db::Pg(pool) => {
            let mut query = sql(Engine::Postgres).rows::<sqlx::Postgres>(user_columns!(pg));
            let rows = query.build_query_as().persistent(keep).fetch_all(pool).await;
            rows.map(|rows: Vec<UserRow>| rows.into_iter().map(User::from).collect())
        }
        Db::Lite(lite) => {
            let mut query = sql(Engine::Sqlite).rows::<sqlx::Sqlite>(user_columns!(lite text));
            query.push(")");
            let text = query.build_query_scalar().persistent(keep).fetch_one(&lite.read).await;
            text.and_then(|text: String| users_in_text(&text).map_err(|error| sqlx::Error::Decode(error.into())))
        }
    }
    .map_err(|source| StoreError::new("sarban::store::user_lists::page", source))
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
    .map_err(|source| StoreError::new("sarban::store::user_lists::count", source))
}

impl UserFilter {
    /// For a filter that asks only (besides the owner) for what most users are: the one for the rest.
    fn others(&self) -> Option<Self> {
        let only_owner = Self { owner: self.owner, ..Self::default() };
        [
            (
                Self { is_active: Some(true), ..only_owner.clone() },
                Self { is_active: Some(false), ..only_owner.clone() },
            ),
            (
                Self { activated: Some(true), ..only_owner.clone() },
                Self { activated: Some(false), ..only_owner.clone() },
            ),
            (Self { expired: Some(false), ..only_owner.clone() }, Self { expired: Some(true), ..only_owner.clone() }),
            (
                Self { data_limit_reached: Some(false), ..only_owner.clone() },
                Self { data_limit_reached: Some(true), ..only_owner.clone() },
            ),
            (Self { enabled: Some(true), ..only_owner.clone() }, Self { enabled: Some(false), ..only_owner }),
        ]
        .into_iter()
        .find_map(|(most, rest)| (*self == most).then_some(rest))
    }
}

impl Reading {
    /// `None`: the window is beyond the end.
    fn of(window: UserWindow, matching: i64) -> Option<Self> {
        let UserWindow { offset, limit, .. } = window;
        let left = matching.checked_sub(offset).filter(|left| *left > 0)?;
        let limit = limit.min(left);
        let from_end = left - limit;
        Some(if from_end < offset {
            Self { offset: from_end, limit, backwards: true }
        } else {
            Self { offset, limit, backwards: false }
        })
    }
}

/// Whether to walk along the order until the page is full, which reads `everybody / matching` rows for each one that
/// matches, or to collect all that match.
fn walks(filter: &UserFilter, sort: UserSort, reading: Reading, totals: Totals) -> bool {
    let of_one_owner = UserFilter { owner: filter.owner, ..UserFilter::default() };
    if sort == UserSort::Id && *filter == of_one_owner {
        // There is an index for just that.
        return true;
    }
    let matching = i128::from(totals.matching);
    let reached = i128::from(reading.offset) + i128::from(reading.limit);
    matching * matching > reached * i128::from(totals.everybody)
}

struct PageQuery<'a> {
    engine: Engine,
    filter: &'a UserFilter,
    sort: UserSort,
    descending: bool,
    reading: Reading,
    walk: bool,
    now: Moment,
}

impl PageQuery<'_> {
    /// The rows of the page, in order.
    fn rows<DB: Database>(&self, columns: &str) -> QueryBuilder<DB>
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let mut sql = QueryBuilder::new(columns);
        sql.push(" FROM (");
        self.push_ids(&mut sql);
        let direction = if self.descending { " DESC" } else { "" };
        // Of a CROSS JOIN, SQLite reads the left side first.
        sql.push(") AS page CROSS JOIN users u").push(user_joins!()).push(" WHERE u.id = page.id ORDER BY ");
        sql.push(self.column()).push(direction).push(", u.id").push(direction);
        sql
    }

    const fn column(&self) -> &'static str {
        match self.sort {
            UserSort::Id => "u.id",
            UserSort::Username => "u.username",
            UserSort::CreatedAt => "u.created_at",
            UserSort::ExpireDate => "u.expire_date",
            UserSort::UsedTraffic => "t.used_traffic",
            UserSort::DataLimit => "t.data_limit",
        }
    }

    fn push_ids<DB: Database>(&self, sql: &mut QueryBuilder<DB>)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let column = self.column();
        let of_traffic = matches!(self.sort, UserSort::UsedTraffic | UserSort::DataLimit);
        let direction = if self.descending != self.reading.backwards { " DESC" } else { "" };
        if self.walk {
            sql.push("SELECT u.id FROM ");
            sql.push(match (of_traffic, self.filter.asks_for_traffic()) {
                (true, _) => "user_traffic t CROSS JOIN users u WHERE u.id = t.user_id AND ",
                (false, true) => "users u CROSS JOIN user_traffic t WHERE t.user_id = u.id AND ",
                (false, false) => "users u WHERE ",
            });
            push_conditions(sql, self.engine, self.filter, Form::OneByOne { sort: self.sort }, self.now);
            let id = if of_traffic { "t.user_id" } else { "u.id" };
            sql.push(" ORDER BY ");
            if self.engine == Engine::Postgres && self.sort == UserSort::UsedTraffic {
                // Its index is a coarse one (migration 10): those of a rank are sorted as they come.
                sql.push("t.traffic_rank").push(direction).push(", ");
            }
            sql.push(column).push(direction);
            if !matches!(self.sort, UserSort::Id | UserSort::Username) {
                sql.push(", ").push(id).push(direction);
            }
        } else {
            let form = self.filter.form(self.engine);
            let (join, id, sorted) = match (form, self.sort) {
                (Form::OfNames, UserSort::Id) => ("", "n.id", "n.id"),
                (Form::OfNames, UserSort::Username) => ("", "n.id", "n.username"),
                (Form::OfNames, _) if of_traffic => (" JOIN user_traffic t ON t.user_id = n.id", "n.id", column),
                (Form::OfNames, _) => (" JOIN users u ON u.id = n.id", "n.id", column),
                _ if of_traffic => (" JOIN user_traffic t ON t.user_id = u.id", "u.id", column),
                _ => ("", "u.id", column),
            };
            sql.push("WITH found AS MATERIALIZED (SELECT ").push(id).push(" AS id, ").push(sorted);
            sql.push(" AS sorted FROM ").push(form.tables()).push(join);
            push_conditions(sql.push(" WHERE "), self.engine, self.filter, form, self.now);
            sql.push(") SELECT id FROM found ORDER BY sorted").push(direction).push(", id").push(direction);
        }
        // As literals: PostgreSQL plans for what it knows.
        sql.push(" LIMIT ").push(self.reading.limit);
        if self.reading.offset > 0 {
            sql.push(" OFFSET ").push(self.reading.offset);
        }
    }
}

fn count_query<DB: Database>(engine: Engine, filter: &UserFilter, now: Moment) -> QueryBuilder<DB>
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    if let Some(search) = filter.search_alone(engine) {
        let mut sql = QueryBuilder::new("SELECT COUNT(*) FROM users_fts WHERE users_fts MATCH ");
        sql.push_bind(search);
        return sql;
    }
    let of_one_owner = UserFilter { owner: filter.owner, is_active: Some(false), ..UserFilter::default() };
    if *filter == of_one_owner {
        return count_inactive(filter.owner, now.micros());
    }
    let form = filter.form(engine);
    let mut sql = QueryBuilder::new("SELECT COUNT(*) FROM ");
    push_conditions(sql.push(form.tables()).push(" WHERE "), engine, filter, form, now);
    sql
}

/// Accounts that do not work, each counted for one reason: its date, else that it is switched off, else its traffic.
/// One set after another, because the union of all three would have to be built.
fn count_inactive<DB: Database>(owner: Option<AdminId>, now: i64) -> QueryBuilder<DB>
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    let mut sql = QueryBuilder::new("SELECT ");
    for (nth, (from, not_earlier)) in [
        ("users u WHERE u.removed = FALSE AND u.expire_date < ", false),
        ("users u WHERE u.removed = FALSE AND u.enabled = FALSE AND ", true),
        (
            "user_traffic t CROSS JOIN users u WHERE t.data_limit_reached = TRUE AND u.id = t.user_id
                AND u.removed = FALSE AND u.enabled AND ",
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        sql.push(if nth == 0 { "" } else { " + " }).push("(SELECT COUNT(*) FROM ").push(from);
        if not_earlier {
            push_not_expired(&mut sql, now);
        } else {
            sql.push_bind(now);
        }
        if let Some(owner) = owner {
            sql.push(" AND u.owner_id = ").push_bind(owner.0);
        }
        sql.push(")");
    }
    sql
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row, query};

    use super::*;
    use crate::config::database_url::DatabaseUrl;
    use crate::store::OpenOptions;
    use crate::store::migrate::migrate;

    fn reading(offset: i64, limit: i64, matching: i64) -> Option<(i64, i64, bool)> {
        let window = UserWindow { sort: UserSort::Id, descending: false, offset, limit };
        Reading::of(window, matching).map(|reading| (reading.offset, reading.limit, reading.backwards))
    }

    #[test]
    fn a_page_is_read_from_the_nearer_end() {
        assert_eq!(reading(0, 50, 1_000), Some((0, 50, false)));
        assert_eq!(reading(450, 50, 1_000), Some((450, 50, false)));
        assert_eq!(reading(900, 50, 1_000), Some((50, 50, true)));
        assert_eq!(reading(950, 100, 1_000), Some((0, 50, true)));
        assert_eq!(reading(0, 50, 7), Some((0, 7, false)));
        assert_eq!(reading(0, 50, 0), None);
        assert_eq!(reading(1_000, 50, 1_000), None);
        assert_eq!(reading(i64::MAX, 50, 1_000), None);
    }

    #[test]
    fn few_are_collected_and_many_are_walked_to() {
        let first = Reading { offset: 0, limit: 50, backwards: false };
        let walked =
            |filter: &UserFilter, sort, matching| walks(filter, sort, first, Totals { matching, everybody: 1_000_000 });
        let owned = UserFilter { owner: Some(AdminId(1)), ..UserFilter::default() };
        assert!(walked(&UserFilter::default(), UserSort::UsedTraffic, 1_000_000));
        assert!(walked(&owned, UserSort::UsedTraffic, 50_000));
        assert!(!walked(&owned, UserSort::UsedTraffic, 5_000));
        assert!(walked(&owned, UserSort::Id, 10));
    }

    /// What SQLite means to do. (PostgreSQL's plans follow statistics, and are a benchmark's business.)
    async fn plan(db: &Db, sql: String) -> Vec<String> {
        let Db::Lite(lite) = db else { panic!("SQLite") };
        let steps = query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&lite.read).await.unwrap();
        steps.iter().map(|step| step.get("detail")).collect()
    }

    async fn database() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().unwrap();
        let second = std::time::Duration::from_secs(1);
        let options = OpenOptions {
            url: DatabaseUrl::Sqlite { path: folder.path().join("db.sqlite3") },
            connections: 1,
            statement_cache: 1,
            application_name: String::new(),
            acquire_timeout: second,
            busy_timeout: second,
            read_only: false,
        };
        let db = Db::open(&options).await.unwrap();
        migrate(&db).await.unwrap();
        (folder, db)
    }

    #[tokio::test]
    async fn sqlite_walks_along_the_index_of_each_order() {
        let (_folder, db) = database().await;
        let any = UserFilter::default;
        let filters = [
            any(),
            UserFilter { owner: Some(AdminId(1)), ..any() },
            UserFilter { names: Names::Containing("user".into()), ..any() },
            UserFilter { service: Some(ServiceId(1)), ..any() },
            UserFilter { is_active: Some(false), owner: Some(AdminId(1)), ..any() },
            UserFilter { enabled: Some(false), activated: Some(false), ..any() },
            UserFilter { expired: Some(true), data_limit_reached: Some(true), ..any() },
        ];
        for (sort, index) in [
            (UserSort::Id, "users"),
            (UserSort::Username, "sqlite_autoindex_users_1"),
            (UserSort::UsedTraffic, "user_traffic_used"),
            (UserSort::DataLimit, "user_traffic_limit"),
            (UserSort::ExpireDate, "users_live_expire"),
            (UserSort::CreatedAt, "users_live_created"),
        ] {
            for (filter, backwards) in filters.iter().flat_map(|filter| [(filter, false), (filter, true)]) {
                let reading = Reading { offset: 0, limit: 50, backwards };
                let now = Moment::from_micros(0);
                let engine = Engine::Sqlite;
                let page = PageQuery { engine, filter, sort, descending: false, reading, walk: true, now };
                let mut ids = QueryBuilder::<sqlx::Sqlite>::new("");
                page.push_ids(&mut ids);
                let steps = plan(&db, ids.into_string()).await;
                let sorted = steps.iter().any(|step| step.contains("TEMP B-TREE"));
                let along = sort == UserSort::Id || steps[0].contains(index);
                assert!(along && !sorted, "{sort:?} {filter:?}: {steps:#?}");
            }
        }
    }

    #[tokio::test]
    async fn sqlite_finds_parts_of_names_by_their_trigrams() {
        let (_folder, db) = database().await;
        let filter = UserFilter { names: Names::Containing("us_r_one".into()), ..UserFilter::default() };
        let counting = count_query::<sqlx::Sqlite>(Engine::Sqlite, &filter, Moment::from_micros(0)).into_string();
        let steps = plan(&db, counting).await;
        assert!(steps.iter().any(|step| step.contains("VIRTUAL TABLE INDEX")), "{steps:#?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN u")), "{steps:#?}");
    }

    #[tokio::test]
    async fn sqlite_searches_among_an_owners_users_in_the_owners_index() {
        let (_folder, db) = database().await;
        let names = Names::Containing("one".into());
        let of_owner = UserFilter { names, owner: Some(AdminId(1)), ..UserFilter::default() };
        let first = Reading { offset: 0, limit: 50, backwards: false };
        let (engine, now) = (Engine::Sqlite, Moment::from_micros(0));
        for filter in [of_owner.clone(), UserFilter { is_active: Some(false), service: Some(ServiceId(1)), ..of_owner }] {
            let mut texts = vec![count_query::<sqlx::Sqlite>(engine, &filter, now).into_string()];
            for sort in [UserSort::Id, UserSort::CreatedAt, UserSort::UsedTraffic] {
                let (filter, descending) = (&filter, false);
                let page = PageQuery { engine, filter, sort, descending, reading: first, walk: false, now };
                let mut ids = QueryBuilder::<sqlx::Sqlite>::new("");
                page.push_ids(&mut ids);
                texts.push(ids.into_string());
            }
            for sql in texts {
                let steps = plan(&db, sql.clone()).await;
                let search = steps.iter().position(|step| step.starts_with("SCAN f VIRTUAL TABLE INDEX"));
                let owners = "INDEX users_live_owner (owner_id=? AND id=?";
                let seek = steps.iter().position(|step| step.starts_with("SEARCH u") && step.contains(owners));
                assert!(search.is_some() && search < seek, "{sql}: {steps:#?}");
            }
        }
    }
}
