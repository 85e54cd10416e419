//! The conditions of a user list on `users u`: checked row by row, or as sets that indexes answer. The better form
//! depends on the number of matches.

use sqlx::{Database, Encode, QueryBuilder, Type};

use super::list_filter::{Names, UserFilter, UserSort};
use super::list_flags;
use crate::domain::moment::Moment;
use crate::store::engine::Engine;
use crate::store::engine::like::containing;

/// Form of the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Form {
    /// Checked per row during a scan of the index of `sort`, and written so that the engine does not choose another
    /// index. If the filter needs traffic, `user_traffic t` is joined.
    PerRow {
        /// Sort key whose index is scanned.
        sort: UserSort,
    },
    /// As sets: literals where an index is partial; membership in a set for rare properties, absence from it for common
    /// ones.
    Sets,
    /// Like `Sets`, on PostgreSQL's `user_names n`, which has exactly the users that are not removed.
    SetsOfNames,
    /// Checked per row during a scan of PostgreSQL's `user_names n`.
    PerName,
    /// On SQLite's full-text index `users_fts f`, which has matching names by id, joined with `users u`.
    FullText {
        /// The filter also has an owner.
        of_owner: bool,
    },
}

impl Form {
    /// Returns the FROM clause that the conditions refer to.
    pub(in crate::store) const fn tables(self) -> &'static str {
        match self {
            Self::PerRow { .. } | Self::Sets => "users u",
            Self::SetsOfNames | Self::PerName => "user_names n",
            Self::FullText { of_owner: false } => "users_fts f CROSS JOIN users u",
            // SQLite reads the left side of a CROSS JOIN first. By itself it looks up each match in `users`, which
            // takes four times as long as in the owner's part of an index, and six times if the users are not in
            // memory.
            Self::FullText { of_owner: true } => "users_fts f CROSS JOIN users u INDEXED BY users_live_owner",
        }
    }
}

impl UserFilter {
    /// True if the conditions need the users' traffic.
    pub(in crate::store) const fn asks_for_traffic(&self) -> bool {
        self.data_limit_reached.is_some() || self.is_active.is_some() || self.nearly_limited.is_some()
    }

    /// Returns the full-text search if the filter is nothing but a search that SQLite's trigram index answers alone.
    pub(in crate::store) fn search_alone(&self, engine: Engine) -> Option<String> {
        let Names::Containing(text) = &self.names else { return None };
        let alone = *self == Self { names: self.names.clone(), ..Self::default() };
        (engine == Engine::Sqlite && alone && !has_wildcards(text)).then(|| full_text(text)).flatten()
    }

    /// True if the filter has a part of a name.
    pub(in crate::store) const fn asks_for_a_part(&self) -> bool {
        matches!(self.names, Names::Containing(_))
    }

    /// True if the filter is nothing but a part of a name, of all users or of one owner's.
    pub(in crate::store) fn asks_for_names_alone(&self) -> bool {
        let alone = Self { names: self.names.clone(), owner: self.owner, ..Self::default() };
        self.asks_for_a_part() && *self == alone
    }

    /// True if SQLite's trigram index finds the names.
    pub(in crate::store) fn is_full_text(&self) -> bool {
        matches!(&self.names, Names::Containing(text) if full_text(text).is_some())
    }

    /// Returns the form for a lookup.
    pub(in crate::store) fn form(&self, engine: Engine) -> Form {
        match (engine, &self.names) {
            (Engine::Postgres, Names::Containing(_)) => Form::SetsOfNames,
            (Engine::Sqlite, _) if self.owner.is_some() && self.is_full_text() => Form::FullText { of_owner: true },
            _ => Form::Sets,
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
    // Removed users have no name, so an index of names excludes them without reading rows.
    sql.push(match form {
        Form::SetsOfNames | Form::PerName => "TRUE",
        Form::PerRow { sort: UserSort::Username } => "u.username IS NOT NULL",
        Form::PerRow { .. } | Form::Sets => "u.removed = FALSE",
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
    let id = if matches!(form, Form::SetsOfNames | Form::PerName) { "n.id" } else { "u.id" };
    if let Some(owner) = filter.owner {
        // The plus keeps SQLite from using the owner's index. PostgreSQL weighs that index against the limit, and needs
        // the plain column for it.
        let along_another = matches!(form, Form::PerRow { sort } if sort != UserSort::Id);
        sql.push(match form {
            Form::SetsOfNames | Form::PerName => " AND n.owner_id = ",
            _ if engine == Engine::Sqlite && along_another => " AND +u.owner_id = ",
            _ => " AND u.owner_id = ",
        });
        sql.push_bind(owner.0);
    }
    if let Some(service) = filter.service {
        match form {
            Form::PerRow { .. } => {
                sql.push(" AND EXISTS (SELECT 1 FROM users_services s WHERE s.user_id = u.id AND s.service_id = ")
            }
            Form::Sets | Form::SetsOfNames | Form::PerName | Form::FullText { .. } => {
                sql.push(" AND ").push(id).push(" IN (SELECT s.user_id FROM users_services s WHERE s.service_id = ")
            }
        };
        sql.push_bind(service.0).push(")");
    }
    match form {
        Form::PerRow { sort } => list_flags::push_per_row(sql, filter, sort, now),
        Form::Sets | Form::FullText { .. } => list_flags::push_as_sets(sql, filter, now),
        Form::SetsOfNames | Form::PerName => list_flags::push_of_names(sql, filter, now),
    }
}

/// Pushes the condition on a part of the name, in lower case as names are.
fn push_search<DB: Database>(sql: &mut QueryBuilder<DB>, engine: Engine, text: &str, form: Form)
where
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let looked_up = !matches!(form, Form::PerRow { .. } | Form::PerName);
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
            (Form::SetsOfNames, _) if indexed => (" AND n.username", ""),
            // The trigram index would be read completely here; the expression keeps PostgreSQL from using it.
            (Form::SetsOfNames, _) => (" AND (n.username || '')", ""),
            // PostgreSQL can't estimate a CASE, so it keeps its plan instead of planning again for each text, which
            // takes as long as finding the page.
            (Form::PerRow { .. }, Engine::Postgres) => (" AND CASE WHEN u.username", " THEN TRUE END"),
            (Form::PerName, _) => (" AND CASE WHEN n.username", " THEN TRUE END"),
            _ => (" AND u.username", ""),
        };
        sql.push(before).push(" LIKE ").push_bind(containing(text));
        // It is PostgreSQL's default. Written out, it becomes a function that processes the pattern again for each row.
        sql.push(if engine == Engine::Sqlite { r" ESCAPE '\'" } else { "" }).push(after);
    }
}

fn has_wildcards(text: &str) -> bool {
    text.contains(['%', '_'])
}

/// Returns the parts between wildcards that are long enough for PostgreSQL's trigram index, which has letters and
/// digits only.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|part| part.chars().count() >= 3)
}

/// Returns the full-text search for SQLite: names with all parts.
fn full_text(text: &str) -> Option<String> {
    let between_wildcards = text.split(['%', '_']).filter(|part| part.chars().count() >= 3);
    let quoted: Vec<String> = between_wildcards.map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    (!quoted.is_empty()).then(|| quoted.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_uses_parts_of_three_or_more_characters() {
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
