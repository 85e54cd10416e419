//! What a list of users asks for, as conditions on `users u`, to be asked of one row after another or as sets that
//! indexes know. Which one is right depends on how many match.

use sqlx::{Database, Encode, QueryBuilder, Type};

use super::list_filter::{Names, UserFilter, UserSort};
use crate::domain::moment::Moment;
use crate::store::engine::Engine;
use crate::store::engine::like::containing;

/// How a condition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Form {
    /// To be asked of each row while walking along the index of `sort`: nothing may tempt the engine to another index.
    /// Where traffic is asked for, `user_traffic t` is joined.
    OneByOne {
        /// What is walked along.
        sort: UserSort,
    },
    /// To be looked up: literals where an index is partial; what few users are is a set, what most are is the absence
    /// from it.
    AsSets,
    /// The same, to be looked up in PostgreSQL's `user_names n`: who is not removed is there, and all else is a set.
    OfNames,
    /// To be asked of each row while walking along PostgreSQL's `user_names n`.
    NamesOneByOne,
    /// To be looked up in SQLite's `users_fts f`, which has the names with a text by id, joined with `users u`.
    FullText {
        /// An owner is asked for, too.
        of_owner: bool,
    },
}

impl Form {
    /// What the conditions are asked of.
    pub(in crate::store) const fn tables(self) -> &'static str {
        match self {
            Self::OneByOne { .. } | Self::AsSets => "users u",
            Self::OfNames | Self::NamesOneByOne => "user_names n",
            Self::FullText { of_owner: false } => "users_fts f CROSS JOIN users u",
            // Of a CROSS JOIN, SQLite reads the left side first. Left to itself it looks each match up in `users`, which
            // takes four times as long as in the owner's part of an index, and six times if the users are not in memory.
            Self::FullText { of_owner: true } => "users_fts f CROSS JOIN users u INDEXED BY users_live_owner",
        }
    }
}

impl UserFilter {
    /// Whether rows must be joined with their traffic to be judged one by one.
    pub(in crate::store) const fn asks_for_traffic(&self) -> bool {
        self.data_limit_reached.is_some() || self.is_active.is_some()
    }

    /// For SQLite, if the filter is nothing but a search that the index of trigrams answers by itself: the search.
    pub(in crate::store) fn search_alone(&self, engine: Engine) -> Option<String> {
        let Names::Containing(text) = &self.names else { return None };
        let alone = *self == Self { names: self.names.clone(), ..Self::default() };
        (engine == Engine::Sqlite && alone && !has_wildcards(text)).then(|| full_text(text)).flatten()
    }

    /// Whether a part of the name is searched for.
    pub(in crate::store) const fn asks_for_a_part(&self) -> bool {
        matches!(self.names, Names::Containing(_))
    }

    /// Whether it is a search for a part of the name, among everybody's or one owner's users, and nothing besides.
    pub(in crate::store) fn asks_for_names_alone(&self) -> bool {
        let alone = Self { names: self.names.clone(), owner: self.owner, ..Self::default() };
        self.asks_for_a_part() && *self == alone
    }

    /// Whether SQLite's index of trigrams finds the names.
    pub(in crate::store) fn is_full_text(&self) -> bool {
        matches!(&self.names, Names::Containing(text) if full_text(text).is_some())
    }

    /// The form in which they are looked up.
    pub(in crate::store) fn form(&self, engine: Engine) -> Form {
        match (engine, &self.names) {
            (Engine::Postgres, Names::Containing(_)) => Form::OfNames,
            (Engine::Sqlite, _) if self.owner.is_some() && self.is_full_text() => Form::FullText { of_owner: true },
            _ => Form::AsSets,
        }
    }
}

/// Pushes all conditions, without `WHERE`.
pub(in crate::store) fn push_conditions<DB: Database>(
    sql: &mut QueryBuilder<DB>,
    engine: Engine,
    filter: &UserFilter,
    form: Form,
    now: Moment,
) where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let now = now.micros();
    // Who is removed has no name: along the names, that is known without reading rows.
    sql.push(match form {
        Form::OfNames | Form::NamesOneByOne => "TRUE",
        Form::OneByOne { sort: UserSort::Username } => "u.username IS NOT NULL",
        Form::OneByOne { .. } | Form::AsSets => "u.removed = FALSE",
        Form::FullText { .. } => "u.id = f.rowid AND u.removed = FALSE",
    });
    match &filter.names {
        Names::Any => {}
        Names::Containing(text) => push_search(sql, engine, &text.to_lowercase(), form),
        Names::Exactly(names) => {
            let mut list = sql.push(" AND u.username IN (").separated(", ");
            for name in names {
                list.push_bind(name.clone());
            }
            sql.push(")");
        }
    }
    let id = if matches!(form, Form::OfNames | Form::NamesOneByOne) { "n.id" } else { "u.id" };
    if let Some(owner) = filter.owner {
        // A plus keeps SQLite from the owner's index. PostgreSQL weighs it against the limit, and needs to know the
        // column for that.
        let along_another = matches!(form, Form::OneByOne { sort } if sort != UserSort::Id);
        sql.push(match form {
            Form::OfNames | Form::NamesOneByOne => " AND n.owner_id = ",
            _ if engine == Engine::Sqlite && along_another => " AND +u.owner_id = ",
            _ => " AND u.owner_id = ",
        });
        sql.push_bind(owner.0);
    }
    if let Some(service) = filter.service {
        match form {
            Form::OneByOne { .. } => {
                sql.push(" AND EXISTS (SELECT 1 FROM users_services s WHERE s.user_id = u.id AND s.service_id = ")
            }
            Form::AsSets | Form::OfNames | Form::NamesOneByOne | Form::FullText { .. } => {
                sql.push(" AND ").push(id).push(" IN (SELECT s.user_id FROM users_services s WHERE s.service_id = ")
            }
        };
        sql.push_bind(service.0).push(")");
    }
    match form {
        Form::OneByOne { sort } => push_flags_one_by_one(sql, filter, sort, now),
        Form::AsSets | Form::FullText { .. } => push_flags_as_sets(sql, filter, now),
        Form::OfNames | Form::NamesOneByOne => push_flags_of_names(sql, filter, now),
    }
}

fn push_flags_one_by_one<DB: Database>(sql: &mut QueryBuilder<DB>, filter: &UserFilter, sort: UserSort, now: i64)
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    let not = |wanted: bool| if wanted { " AND " } else { " AND NOT " };
    if let Some(enabled) = filter.enabled {
        sql.push(not(enabled)).push("u.enabled");
    }
    if let Some(activated) = filter.activated {
        sql.push(not(activated)).push("u.activated");
    }
    match filter.expired {
        // Where their dates are walked along, those that have passed are one end of the index.
        Some(true) if sort == UserSort::ExpireDate => {
            sql.push(" AND u.expire_date < ").push_bind(now);
        }
        Some(expired) => {
            push_not_expired(sql.push(not(!expired)), now);
        }
        None => {}
    }
    if let Some(reached) = filter.data_limit_reached {
        sql.push(not(reached)).push("t.data_limit_reached");
    }
    if let Some(active) = filter.is_active {
        sql.push(not(active)).push("(u.enabled AND NOT t.data_limit_reached AND ");
        push_not_expired(sql, now).push(")");
    }
}

fn push_flags_as_sets<DB: Database>(sql: &mut QueryBuilder<DB>, filter: &UserFilter, now: i64)
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    const NOT_SPENT: &str =
        "NOT EXISTS (SELECT 1 FROM user_traffic n WHERE n.user_id = u.id AND n.data_limit_reached = TRUE)";
    match filter.enabled {
        Some(true) => sql.push(" AND u.enabled"),
        Some(false) => sql.push(" AND u.enabled = FALSE"),
        None => sql,
    };
    match filter.activated {
        Some(true) => sql.push(" AND u.activated"),
        Some(false) => sql.push(" AND u.activated = FALSE"),
        None => sql,
    };
    match filter.expired {
        Some(true) => sql.push(" AND u.expire_date < ").push_bind(now),
        Some(false) => push_not_expired(sql.push(" AND "), now),
        None => sql,
    };
    match filter.data_limit_reached {
        Some(true) => push_union(sql.push(" AND u.id IN ("), "", &[Few::Spent], now).push(")"),
        Some(false) => sql.push(" AND ").push(NOT_SPENT),
        None => sql,
    };
    match filter.is_active {
        Some(true) => push_not_expired(sql.push(" AND u.enabled AND "), now).push(" AND ").push(NOT_SPENT),
        Some(false) => push_union(sql.push(" AND u.id IN ("), " UNION ", INACTIVE, now).push(")"),
        None => sql,
    };
}

/// What few users are is a small index each, whose ids are all that is read.
fn push_flags_of_names<DB: Database>(sql: &mut QueryBuilder<DB>, filter: &UserFilter, now: i64)
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    let not = |flag: Option<bool>| flag.map(|is| !is);
    let sets: [(Option<bool>, &[Few]); 5] = [
        (not(filter.enabled), &[Few::Disabled]),
        (not(filter.activated), &[Few::NotActivated]),
        (filter.expired, &[Few::Expired]),
        (filter.data_limit_reached, &[Few::Spent]),
        (not(filter.is_active), INACTIVE),
    ];
    for (wanted, few) in sets {
        let Some(wanted) = wanted else { continue };
        let (exists, union) = if wanted { ("EXISTS", " UNION ") } else { ("NOT EXISTS", " UNION ALL ") };
        sql.push(" AND ").push(exists).push(" (SELECT 1 FROM (");
        push_union(sql, union, few, now).push(") AS few (id) WHERE few.id = n.id)");
    }
}

/// What few users are: a small index each.
#[derive(Clone, Copy)]
enum Few {
    Disabled,
    NotActivated,
    Expired,
    Spent,
}

const INACTIVE: &[Few] = &[Few::Disabled, Few::Expired, Few::Spent];

impl Few {
    /// Pushes a query for their ids.
    fn push<DB: Database>(self, sql: &mut QueryBuilder<DB>, now: i64)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
    {
        match self {
            Self::Disabled => sql.push("SELECT o.id FROM users o WHERE o.removed = FALSE AND o.enabled = FALSE"),
            Self::NotActivated => sql.push("SELECT a.id FROM users a WHERE a.removed = FALSE AND a.activated = FALSE"),
            Self::Expired => {
                sql.push("SELECT e.id FROM users e WHERE e.removed = FALSE AND e.expire_date < ").push_bind(now)
            }
            Self::Spent => sql.push("SELECT r.user_id FROM user_traffic r WHERE r.data_limit_reached = TRUE"),
        };
    }
}

/// `union` may keep duplicates for whoever only asks whether an id is not there.
fn push_union<'s, DB: Database>(
    sql: &'s mut QueryBuilder<DB>,
    union: &str,
    sets: &[Few],
    now: i64,
) -> &'s mut QueryBuilder<DB>
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    for (nth, set) in sets.iter().enumerate() {
        sql.push(if nth == 0 { "" } else { union });
        set.push(sql, now);
    }
    sql
}

/// Only accounts with a fixed date have an `expire_date`.
pub(in crate::store) fn push_not_expired<DB: Database>(sql: &mut QueryBuilder<DB>, now: i64) -> &mut QueryBuilder<DB>
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    sql.push("COALESCE(u.expire_date, 9223372036854775807) >= ").push_bind(now)
}

/// A part of the name, in lower case as names are.
fn push_search<DB: Database>(sql: &mut QueryBuilder<DB>, engine: Engine, text: &str, form: Form)
where
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let looked_up = !matches!(form, Form::OneByOne { .. } | Form::NamesOneByOne);
    let indexed = looked_up && parts(text).next().is_some();
    let full_text = if engine == Engine::Sqlite && looked_up { full_text(text) } else { None };
    if let Some(search) = &full_text {
        let (before, after) = match form {
            Form::FullText { .. } => (" AND f.username MATCH ", ""),
            _ => (" AND u.id IN (SELECT f.rowid FROM users_fts f WHERE f.username MATCH ", ")"),
        };
        sql.push(before).push_bind(search.clone()).push(after);
    }
    if full_text.is_none() || has_wildcards(text) {
        let (before, after) = match (form, engine) {
            (Form::OfNames, _) if indexed => (" AND n.username", ""),
            // Where the index of trigrams would read everything, an expression keeps PostgreSQL from it.
            (Form::OfNames, _) => (" AND (n.username || '')", ""),
            // PostgreSQL can't guess how many a CASE lets pass, and so does not plan anew for each text, which takes it as
            // long as finding the page.
            (Form::OneByOne { .. }, Engine::Postgres) => (" AND CASE WHEN u.username", " THEN TRUE END"),
            (Form::NamesOneByOne, _) => (" AND CASE WHEN n.username", " THEN TRUE END"),
            _ => (" AND u.username", ""),
        };
        sql.push(before).push(" LIKE ").push_bind(containing(text));
        // PostgreSQL has it so anyway. Said, it is a function that looks through the text again for each row.
        sql.push(if engine == Engine::Sqlite { r" ESCAPE '\'" } else { "" }).push(after);
    }
}

fn has_wildcards(text: &str) -> bool {
    text.contains(['%', '_'])
}

/// What stands between wildcards and is long enough for the index: letters and digits, which is what names are made of.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|part| part.chars().count() >= 3)
}

/// The same for SQLite's index: names with all parts.
fn full_text(text: &str) -> Option<String> {
    let between_wildcards = text.split(['%', '_']).filter(|part| part.chars().count() >= 3);
    let quoted: Vec<String> = between_wildcards.map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    (!quoted.is_empty()).then(|| quoted.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_between_wildcards_are_searched_if_they_are_long_enough() {
        assert_eq!(full_text("ali"), Some("\"ali\"".into()));
        assert_eq!(full_text("ali_48%reza"), Some("\"ali\" AND \"reza\"".into()));
        assert_eq!(full_text("a\"bc"), Some("\"a\"\"bc\"".into()));
        for short in ["", "al", "%%%", "al_re%ab", "_a_"] {
            assert_eq!(full_text(short), None, "{short:?}");
            assert_eq!(parts(short).next(), None, "{short:?}");
        }
        assert_eq!(parts("ab.cde").collect::<Vec<_>>(), ["cde"]);
    }
}
