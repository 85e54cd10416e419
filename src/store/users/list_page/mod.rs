//! The query for a page of users.
//!
//! The totals decide how the ids of the page are found. Few matches are collected and sorted; for many, the index of
//! the sort key is scanned until the page is full, from the nearer end; a search for a part of a name alone scans an
//! index of names. By themselves both engines would guess, and a wrong guess reads everything. Whole rows are then read
//! for these ids only.

use sqlx::{Database, Encode, QueryBuilder, Type};

use crate::domain::moment::Moment;
use crate::store::engine::Engine;
use crate::store::users::list_conditions::{Form, push_conditions};
use crate::store::users::list_filter::{Totals, UserFilter, UserSort, UserWindow};
use crate::store::users::row::{UserRow, traffic_columns, user_joins};

/// Up to this offset, whole rows are read during an index scan instead of ids.
const NEAR: i64 = 500;

/// A page and the plan to find it.
#[derive(Debug)]
pub(super) struct PageQuery<'a> {
    engine: Engine,
    filter: &'a UserFilter,
    sort: UserSort,
    descending: bool,
    reading: Reading,
    plan: ListPlan,
    now: Moment,
}

/// A range of a sorted list, read from the nearer end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    offset: i64,
    limit: i64,
    /// Read from the end, in the opposite direction.
    backwards: bool,
}

/// The plan for finding the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListPlan {
    /// Scans the index of the sort key until the page is full.
    IndexScan,
    /// Scans an index of names, which is sorted by id, until the page is full.
    NameIndexScan,
    /// Collects and sorts all matches.
    Sort,
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

impl ListPlan {
    fn of(engine: Engine, filter: &UserFilter, sort: UserSort, reading: Reading, totals: Totals) -> Self {
        let by_name_index = sort == UserSort::Id && filter.asks_for_names_alone();
        match engine {
            Engine::Sqlite if by_name_index && filter.is_full_text() => Self::NameIndexScan,
            _ if !prefers_index_scan(filter, sort, reading, totals) => Self::Sort,
            // Matching names lie together in this order, maybe at its end, and each name before them costs a row
            // lookup.
            Engine::Postgres
                if sort == UserSort::Username && filter.asks_for_a_part() && !totals.are_mostly_matching() =>
            {
                Self::Sort
            }
            Engine::Postgres if by_name_index => Self::NameIndexScan,
            _ => Self::IndexScan,
        }
    }
}

impl Totals {
    const fn are_mostly_matching(self) -> bool {
        self.matching > self.everybody / 2
    }
}

/// True if an index scan, which reads `everybody / matching` rows for each match, is cheaper than collecting and
/// sorting all matches.
fn prefers_index_scan(filter: &UserFilter, sort: UserSort, reading: Reading, totals: Totals) -> bool {
    let of_one_owner = UserFilter { owner: filter.owner, ..UserFilter::default() };
    if sort == UserSort::Id && *filter == of_one_owner {
        // An index has exactly these users.
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
        let plan = ListPlan::of(engine, filter, sort, reading, totals);
        Some(Self { engine, filter, sort, descending, reading, plan, now })
    }

    /// True for a first page, whose text is worth caching.
    pub(super) const fn is_common(&self) -> bool {
        self.reading.offset == 0
    }

    /// Returns the query for the rows of the page; on SQLite the rows are sorted.
    pub(super) fn rows<DB: Database>(&self, columns: &str) -> QueryBuilder<DB>
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let mut sql = QueryBuilder::new(columns);
        sql.push(" FROM (");
        if self.engine == Engine::Postgres && self.plan == ListPlan::IndexScan && self.is_near() {
            // The scan has the rows already; looking up each again would cost a tenth of the page.
            let with_traffic = self.scans_with_traffic();
            self.push_index_scan(&mut sql, if with_traffic { concat!("u.*, ", traffic_columns!("t")) } else { "u.*" });
            sql.push(") AS u CROSS JOIN LATERAL (").push(if with_traffic {
                concat!("SELECT ", traffic_columns!("u"))
            } else {
                "SELECT * FROM user_traffic WHERE user_id = u.id OFFSET 0"
            });
            sql.push(") AS t").push(user_joins!(looked up));
        } else {
            self.push_ids(&mut sql);
            // SQLite reads the left side of a CROSS JOIN first.
            sql.push(") AS page CROSS JOIN users u").push(user_joins!()).push(" WHERE u.id = page.id");
        }
        if self.engine == Engine::Sqlite {
            let direction = if self.descending { " DESC" } else { "" };
            sql.push(" ORDER BY ").push(self.column()).push(direction).push(", u.id").push(direction);
        }
        sql
    }

    /// Sorts PostgreSQL's rows. They arrive sorted or reversed, but PostgreSQL does not know it and would copy all rows
    /// to sort them, which takes a tenth of the page.
    pub(super) fn sort(&self, rows: &mut [UserRow]) {
        if self.descending {
            rows.sort_by(|one, other| other.compare(one, self.sort));
        } else {
            rows.sort_by(|one, other| one.compare(other, self.sort));
        }
    }

    /// True if PostgreSQL need not skip many rows, which would cost too much with whole rows.
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

    const fn scans_with_traffic(&self) -> bool {
        self.is_of_traffic() || self.filter.asks_for_traffic()
    }

    /// Returns the direction of the reading, which may be from the end.
    const fn direction(&self) -> &'static str {
        if self.descending != self.reading.backwards { " DESC" } else { "" }
    }

    fn push_ids<DB: Database>(&self, sql: &mut QueryBuilder<DB>)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        match self.plan {
            ListPlan::IndexScan => self.push_index_scan(sql, "u.id"),
            ListPlan::NameIndexScan => self.push_name_index_scan(sql),
            ListPlan::Sort => self.push_sorted_matches(sql),
        }
    }

    fn push_index_scan<DB: Database>(&self, sql: &mut QueryBuilder<DB>, columns: &str)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let direction = self.direction();
        // Its index is coarse (migration 10): users of one rank are sorted on the fly.
        let ranked = self.engine == Engine::Postgres && self.sort == UserSort::UsedTraffic;
        sql.push("SELECT ").push(columns).push(" FROM ");
        if ranked && self.is_near() {
            // Sorted before the join, or all users of a rank would be looked up for the first one. A limit whose value
            // PostgreSQL does not know (and that is NULL) makes it plan for the first rows.
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
        push_conditions(sql, self.engine, self.filter, Form::PerRow { sort: self.sort }, self.now);
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

    fn push_name_index_scan<DB: Database>(&self, sql: &mut QueryBuilder<DB>)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let (form, id) = match self.engine {
            Engine::Postgres => (Form::PerName, "n.id"),
            Engine::Sqlite => (Form::FullText { of_owner: self.filter.owner.is_some() }, "f.rowid"),
        };
        sql.push("SELECT ").push(id).push(" AS id FROM ").push(form.tables()).push(" WHERE ");
        push_conditions(sql, self.engine, self.filter, form, self.now);
        sql.push(" ORDER BY ").push(id).push(self.direction());
        self.push_window(sql);
    }

    fn push_sorted_matches<DB: Database>(&self, sql: &mut QueryBuilder<DB>)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
        for<'q> String: Encode<'q, DB> + Type<DB>,
    {
        let form = self.filter.form(self.engine);
        let column = self.column();
        let (join, id, sorted) = match (form, self.sort) {
            (Form::SetsOfNames, UserSort::Id) => ("", "n.id", "n.id"),
            (Form::SetsOfNames, UserSort::Username) => ("", "n.id", "n.username"),
            (Form::SetsOfNames, _) if self.is_of_traffic() => {
                (" JOIN user_traffic t ON t.user_id = n.id", "n.id", column)
            }
            (Form::SetsOfNames, _) => (" JOIN users u ON u.id = n.id", "n.id", column),
            // Joined last, so that only the traffic of matches is looked up.
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

    /// Pushed as literals, which PostgreSQL plans for.
    fn push_window<DB: Database>(&self, sql: &mut QueryBuilder<DB>) {
        sql.push(" LIMIT ").push(self.reading.limit);
        if self.reading.offset > 0 {
            sql.push(" OFFSET ").push(self.reading.offset);
        }
    }
}

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
    fn page_is_read_from_the_nearer_end() {
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
    fn few_matches_are_sorted_and_many_are_scanned() {
        let first = Reading { offset: 0, limit: 50, backwards: false };
        let scanned = |filter: &UserFilter, sort, matching| {
            prefers_index_scan(filter, sort, first, Totals { matching, everybody: 1_000_000 })
        };
        let owned = UserFilter { owner: Some(AdminId(1)), ..UserFilter::default() };
        assert!(scanned(&UserFilter::default(), UserSort::UsedTraffic, 1_000_000));
        assert!(scanned(&owned, UserSort::UsedTraffic, 50_000));
        assert!(!scanned(&owned, UserSort::UsedTraffic, 5_000));
        assert!(scanned(&owned, UserSort::Id, 10));
    }

    #[test]
    fn postgres_scans_names_only_if_most_match() {
        let first = Reading { offset: 0, limit: 50, backwards: false };
        let plan = |engine, sort, matching| {
            let filter =
                UserFilter { names: Names::Containing("ali".into()), owner: Some(AdminId(1)), ..UserFilter::default() };
            ListPlan::of(engine, &filter, sort, first, Totals { matching, everybody: 1_000_000 })
        };
        assert_eq!(plan(Engine::Postgres, UserSort::Username, 40_000), ListPlan::Sort);
        assert_eq!(plan(Engine::Postgres, UserSort::Username, 600_000), ListPlan::IndexScan);
        assert_eq!(plan(Engine::Postgres, UserSort::CreatedAt, 40_000), ListPlan::IndexScan);
        // The index has everything that is needed.
        assert_eq!(plan(Engine::Sqlite, UserSort::Username, 40_000), ListPlan::IndexScan);
    }
}
