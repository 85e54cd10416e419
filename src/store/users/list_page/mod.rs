//! The query for a page of users.
//!
//! The total says how to find the page's ids: few matches are collected and sorted; for many, the index of the sort is
//! walked until the page is full, from whichever end is nearer; and who is searched for by a part of the name alone is
//! found along the names. Left to themselves, both engines would guess, and a wrong guess reads everything. The rows are
//! read for those ids alone.

use sqlx::{Database, Encode, QueryBuilder, Type};

use crate::domain::moment::Moment;
use crate::store::engine::Engine;
use crate::store::users::list_conditions::{Form, push_conditions};
use crate::store::users::list_filter::{Totals, UserFilter, UserSort, UserWindow};
use crate::store::users::row::{UserRow, traffic_columns, user_joins};

/// So many rows before a page are few enough to be read whole.
const NEAR: i64 = 500;

/// A page, and how it is found.
#[derive(Debug)]
pub(super) struct PageQuery<'a> {
    engine: Engine,
    filter: &'a UserFilter,
    sort: UserSort,
    descending: bool,
    reading: Reading,
    way: Way,
    now: Moment,
}

/// A part of an order, read from whichever end is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    offset: i64,
    limit: i64,
    /// From the end, in the other direction.
    backwards: bool,
}

/// How the ids are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Along the index of the order, until the page is full.
    Walk,
    /// The same along the names, which are there by id.
    AlongNames,
    /// All that match, sorted.
    Collect,
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

impl Way {
    fn of(engine: Engine, filter: &UserFilter, sort: UserSort, reading: Reading, totals: Totals) -> Self {
        let along_names = sort == UserSort::Id && filter.asks_for_names_alone();
        match engine {
            Engine::Sqlite if along_names && filter.is_full_text() => Self::AlongNames,
            _ if !walks(filter, sort, reading, totals) => Self::Collect,
            // Names with a text lie together in their order, maybe at its end; and each name before them is a row to look up.
            Engine::Postgres
                if sort == UserSort::Username && filter.asks_for_a_part() && !totals.are_mostly_matching() =>
            {
                Self::Collect
            }
            Engine::Postgres if along_names => Self::AlongNames,
            _ => Self::Walk,
        }
    }
}

impl Totals {
    const fn are_mostly_matching(self) -> bool {
        self.matching > self.everybody / 2
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

impl<'a> PageQuery<'a> {
    /// `None`: the page is beyond the end.
    pub(super) fn of(
        engine: Engine,
        filter: &'a UserFilter,
        window: UserWindow,
        totals: Totals,
        now: Moment,
    ) -> Option<Self> {
        let UserWindow { sort, descending, .. } = window;
        let reading = Reading::of(window, totals.matching)?;
        let way = Way::of(engine, filter, sort, reading, totals);
        Some(Self { engine, filter, sort, descending, reading, way, now })
    }

    /// Whether it is one of those that are asked for again and again.
    pub(super) const fn is_common(&self) -> bool {
        self.reading.offset == 0
    }

    /// The rows of the page; on SQLite in order.
    pub(super) fn rows<DB: Database>(&self, columns: &str) -> QueryBuilder<DB>
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let mut sql = QueryBuilder::new(columns);
        sql.push(" FROM (");
        if self.engine == Engine::Postgres && self.way == Way::Walk && self.is_near() {
            // The rows are at hand when their ids are, and to look each up again costs a tenth of the page.
            let with_traffic = self.walks_with_traffic();
            self.push_walk(&mut sql, if with_traffic { concat!("u.*, ", traffic_columns!("t")) } else { "u.*" });
            sql.push(") AS u CROSS JOIN LATERAL (").push(if with_traffic {
                concat!("SELECT ", traffic_columns!("u"))
            } else {
                "SELECT * FROM user_traffic WHERE user_id = u.id OFFSET 0"
            });
            sql.push(") AS t").push(user_joins!(looked up));
        } else {
            self.push_ids(&mut sql);
            // Of a CROSS JOIN, SQLite reads the left side first.
            sql.push(") AS page CROSS JOIN users u").push(user_joins!()).push(" WHERE u.id = page.id");
        }
        if self.engine == Engine::Sqlite {
            let direction = if self.descending { " DESC" } else { "" };
            sql.push(" ORDER BY ").push(self.column()).push(direction).push(", u.id").push(direction);
        }
        sql
    }

    /// Puts PostgreSQL's rows in order. They come so already, or the other way round, but it does not know and would copy
    /// them all to sort them, which takes it a tenth of the page.
    pub(super) fn sort(&self, rows: &mut [UserRow]) {
        if self.descending {
            rows.sort_by(|one, other| other.compare(one, self.sort));
        } else {
            rows.sort_by(|one, other| one.compare(other, self.sort));
        }
    }

    /// Whether PostgreSQL need not sort for it whatever comes before it: of many, only ids may be sorted.
    const fn is_near(&self) -> bool {
        self.reading.offset <= NEAR
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

    const fn is_of_traffic(&self) -> bool {
        matches!(self.sort, UserSort::UsedTraffic | UserSort::DataLimit)
    }

    const fn walks_with_traffic(&self) -> bool {
        self.is_of_traffic() || self.filter.asks_for_traffic()
    }

    /// That of the reading, which may be from the end.
    const fn direction(&self) -> &'static str {
        if self.descending != self.reading.backwards { " DESC" } else { "" }
    }

    fn push_ids<DB: Database>(&self, sql: &mut QueryBuilder<DB>)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        match self.way {
            Way::Walk => self.push_walk(sql, "u.id"),
            Way::AlongNames => self.push_walk_along_names(sql),
            Way::Collect => self.push_collected(sql),
        }
    }

    fn push_walk<DB: Database>(&self, sql: &mut QueryBuilder<DB>, columns: &str)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let direction = self.direction();
        // Its index is a coarse one (migration 10): those of a rank are sorted as they come.
        let ranked = self.engine == Engine::Postgres && self.sort == UserSort::UsedTraffic;
        sql.push("SELECT ").push(columns).push(" FROM ");
        if ranked && self.is_near() {
            // Before they are joined, or all users of a rank would be looked up for the first of them. A limit that is not
            // known, and is none, has PostgreSQL plan for the first ones.
            for part in ["(SELECT * FROM user_traffic ORDER BY traffic_rank", ", used_traffic", ", user_id"] {
                sql.push(part).push(direction);
            }
            sql.push(" LIMIT (SELECT CAST(NULL AS BIGINT))) t");
        } else {
            sql.push(if self.is_of_traffic() { "user_traffic t" } else { "users u" });
        }
        sql.push(match (self.is_of_traffic(), self.filter.asks_for_traffic()) {
            (true, _) => " CROSS JOIN users u WHERE u.id = t.user_id AND ",
            (false, true) => " CROSS JOIN user_traffic t WHERE t.user_id = u.id AND ",
            (false, false) => " WHERE ",
        });
        push_conditions(sql, self.engine, self.filter, Form::OneByOne { sort: self.sort }, self.now);
        sql.push(" ORDER BY ");
        if ranked {
            sql.push("t.traffic_rank").push(direction).push(", ");
        }
        sql.push(self.column()).push(direction);
        if !matches!(self.sort, UserSort::Id | UserSort::Username) {
            sql.push(if self.is_of_traffic() { ", t.user_id" } else { ", u.id" }).push(direction);
        }
        self.push_window(sql);
    }

    fn push_walk_along_names<DB: Database>(&self, sql: &mut QueryBuilder<DB>)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let (form, id) = match self.engine {
            Engine::Postgres => (Form::NamesOneByOne, "n.id"),
            Engine::Sqlite => (Form::FullText { of_owner: self.filter.owner.is_some() }, "f.rowid"),
        };
        sql.push("SELECT ").push(id).push(" AS id FROM ").push(form.tables()).push(" WHERE ");
        push_conditions(sql, self.engine, self.filter, form, self.now);
        sql.push(" ORDER BY ").push(id).push(self.direction());
        self.push_window(sql);
    }

    fn push_collected<DB: Database>(&self, sql: &mut QueryBuilder<DB>)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let form = self.filter.form(self.engine);
        let column = self.column();
        let (join, id, sorted) = match (form, self.sort) {
            (Form::OfNames, UserSort::Id) => ("", "n.id", "n.id"),
            (Form::OfNames, UserSort::Username) => ("", "n.id", "n.username"),
            (Form::OfNames, _) if self.is_of_traffic() => (" JOIN user_traffic t ON t.user_id = n.id", "n.id", column),
            (Form::OfNames, _) => (" JOIN users u ON u.id = n.id", "n.id", column),
            // Last, so that only the traffic of those who match is looked up.
            (Form::FullText { .. }, _) if self.is_of_traffic() => {
                (" CROSS JOIN user_traffic t ON t.user_id = u.id", "u.id", column)
            }
            _ if self.is_of_traffic() => (" JOIN user_traffic t ON t.user_id = u.id", "u.id", column),
            _ => ("", "u.id", column),
        };
        let direction = self.direction();
        sql.push("WITH found AS MATERIALIZED (SELECT ").push(id).push(" AS id, ").push(sorted);
        sql.push(" AS sorted FROM ").push(form.tables()).push(join);
        push_conditions(sql.push(" WHERE "), self.engine, self.filter, form, self.now);
        sql.push(") SELECT id FROM found ORDER BY sorted").push(direction).push(", id").push(direction);
        self.push_window(sql);
    }

    /// As literals: PostgreSQL plans for what it knows.
    fn push_window<DB: Database>(&self, sql: &mut QueryBuilder<DB>) {
        sql.push(" LIMIT ").push(self.reading.limit);
        if self.reading.offset > 0 {
            sql.push(" OFFSET ").push(self.reading.offset);
        }
    }
}

#[cfg(test)]
mod plans;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AdminId;
    use crate::store::users::list_filter::Names;

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

    #[test]
    fn names_with_a_text_may_all_be_at_the_end_of_their_order() {
        let first = Reading { offset: 0, limit: 50, backwards: false };
        let way = |engine, sort, matching| {
            let filter =
                UserFilter { names: Names::Containing("ali".into()), owner: Some(AdminId(1)), ..UserFilter::default() };
            Way::of(engine, &filter, sort, first, Totals { matching, everybody: 1_000_000 })
        };
        assert_eq!(way(Engine::Postgres, UserSort::Username, 40_000), Way::Collect);
        assert_eq!(way(Engine::Postgres, UserSort::Username, 600_000), Way::Walk);
        assert_eq!(way(Engine::Postgres, UserSort::CreatedAt, 40_000), Way::Walk);
        // There the index has all that is asked.
        assert_eq!(way(Engine::Sqlite, UserSort::Username, 40_000), Way::Walk);
    }
}
