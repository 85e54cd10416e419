//! The conditions of a user list on states of the account: enabled, activated, on hold, expired, limited.

use sqlx::{Database, Encode, QueryBuilder, Type};

use super::list_filter::{UserFilter, UserSort};

/// Pushes the conditions on each row of `users u`, with `user_traffic t` if they need it.
pub(super) fn push_per_row<DB: Database>(sql: &mut QueryBuilder<DB>, filter: &UserFilter, sort: UserSort, now: i64)
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
    if let Some(on_hold) = filter.on_hold {
        // The expression keeps the index of users on hold out of the plan.
        sql.push(not(on_hold)).push("(u.expire_strategy || '') = 'start_on_first_use'");
    }
    if let Some(date) = filter.expires_before {
        push_before(sql.push(" AND "), date.micros(), sort == UserSort::ExpireDate);
    }
    match filter.expired {
        // In an index of dates, the passed ones are one end of it.
        Some(true) if sort == UserSort::ExpireDate => {
            sql.push(" AND u.expire_date < ").push_bind(now);
        }
        Some(false) if sort == UserSort::ExpireDate && filter.expires_before.is_some() => {
            sql.push(" AND u.expire_date >= ").push_bind(now);
        }
        Some(expired) => {
            push_not_expired(sql.push(not(!expired)), now);
        }
        None => {}
    }
    if let Some(reached) = filter.data_limit_reached {
        sql.push(not(reached)).push("t.data_limit_reached");
    }
    if let Some(near) = filter.nearly_limited {
        push_nearly_limited(sql.push(not(near.is)).push("("), "t", near.percent).push(")");
    }
    if let Some(active) = filter.is_active {
        sql.push(not(active)).push("(u.enabled AND NOT t.data_limit_reached AND ");
        push_not_expired(sql, now).push(")");
    }
}

/// Pushes the conditions on `users u` as sets that indexes answer.
pub(super) fn push_as_sets<DB: Database>(sql: &mut QueryBuilder<DB>, filter: &UserFilter, now: i64)
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
    match filter.on_hold {
        Some(true) => sql.push(" AND u.expire_strategy = 'start_on_first_use'"),
        Some(false) => sql.push(" AND u.expire_strategy <> 'start_on_first_use'"),
        None => sql,
    };
    if let Some(date) = filter.expires_before {
        push_before(sql.push(" AND "), date.micros(), true);
    }
    match filter.expired {
        Some(true) => sql.push(" AND u.expire_date < ").push_bind(now),
        // Users who end before a date have one.
        Some(false) if filter.expires_before.is_some() => sql.push(" AND u.expire_date >= ").push_bind(now),
        Some(false) => push_not_expired(sql.push(" AND "), now),
        None => sql,
    };
    match filter.data_limit_reached {
        Some(true) => push_union(sql.push(" AND u.id IN ("), "", &[RareCondition::Spent], now).push(")"),
        Some(false) => sql.push(" AND ").push(NOT_SPENT),
        None => sql,
    };
    match filter.is_active {
        Some(true) => push_not_expired(sql.push(" AND u.enabled AND "), now).push(" AND ").push(NOT_SPENT),
        Some(false) => push_union(sql.push(" AND u.id IN ("), " UNION ", INACTIVE, now).push(")"),
        None => sql,
    };
    push_nearly_limited_of(sql, "u.id", filter);
}

/// Pushes the conditions on `user_names n`. Rare properties have a small index each, of which only ids are read.
pub(super) fn push_of_names<DB: Database>(sql: &mut QueryBuilder<DB>, filter: &UserFilter, now: i64)
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    let not = |flag: Option<bool>| flag.map(|is| !is);
    let before = filter.expires_before.map(|date| [RareCondition::EndsBefore(date.micros())]);
    let sets: [(Option<bool>, &[RareCondition]); 7] = [
        (not(filter.enabled), &[RareCondition::Disabled]),
        (not(filter.activated), &[RareCondition::NotActivated]),
        (filter.on_hold, &[RareCondition::OnHold]),
        (before.map(|_| true), before.as_ref().map_or(&[], |set| set.as_slice())),
        (filter.expired, &[RareCondition::Expired]),
        (filter.data_limit_reached, &[RareCondition::Spent]),
        (not(filter.is_active), INACTIVE),
    ];
    for (wanted, conditions) in sets {
        let Some(wanted) = wanted else { continue };
        let (exists, union) = if wanted { ("EXISTS", " UNION ") } else { ("NOT EXISTS", " UNION ALL ") };
        sql.push(" AND ").push(exists).push(" (SELECT 1 FROM (");
        push_union(sql, union, conditions, now).push(") AS rare (id) WHERE rare.id = n.id)");
    }
    push_nearly_limited_of(sql, "n.id", filter);
}

/// Pushes the condition on the traffic of the user of this id. No index has it: which users have used much of their limits
/// changes with each recording.
fn push_nearly_limited_of<DB: Database>(sql: &mut QueryBuilder<DB>, id: &str, filter: &UserFilter) {
    let Some(near) = filter.nearly_limited else { return };
    sql.push(if near.is { " AND EXISTS" } else { " AND NOT EXISTS" });
    sql.push(" (SELECT 1 FROM user_traffic l WHERE l.user_id = ").push(id).push(" AND ");
    push_nearly_limited(sql, "l", near.percent).push(")");
}

/// Pushes the condition on `user_traffic` of this name. With a fraction, because the product may not fit an integer.
fn push_nearly_limited<'a, DB: Database>(
    sql: &'a mut QueryBuilder<DB>,
    traffic: &str,
    percent: u32,
) -> &'a mut QueryBuilder<DB> {
    sql.push(format!(
        "COALESCE({traffic}.used_traffic * 100.0 >= {traffic}.data_limit * {percent}.0, FALSE)
            AND NOT {traffic}.data_limit_reached"
    ))
}

/// A property of few users, with a small index of its own.
#[derive(Clone, Copy)]
enum RareCondition {
    Disabled,
    NotActivated,
    OnHold,
    EndsBefore(i64),
    Expired,
    Spent,
}

const INACTIVE: &[RareCondition] = &[RareCondition::Disabled, RareCondition::Expired, RareCondition::Spent];

impl RareCondition {
    /// Pushes a query for the ids.
    fn push<DB: Database>(self, sql: &mut QueryBuilder<DB>, now: i64)
    where
        for<'q> i64: Encode<'q, DB> + Type<DB>,
    {
        match self {
            Self::Disabled => sql.push("SELECT o.id FROM users o WHERE o.removed = FALSE AND o.enabled = FALSE"),
            Self::NotActivated => sql.push("SELECT a.id FROM users a WHERE a.removed = FALSE AND a.activated = FALSE"),
            Self::OnHold => sql
                .push("SELECT h.id FROM users h WHERE h.removed = FALSE AND h.expire_strategy = 'start_on_first_use'"),
            Self::EndsBefore(date) => {
                sql.push("SELECT b.id FROM users b WHERE b.removed = FALSE AND b.expire_date < ").push_bind(date)
            }
            Self::Expired => {
                sql.push("SELECT e.id FROM users e WHERE e.removed = FALSE AND e.expire_date < ").push_bind(now)
            }
            Self::Spent => sql.push("SELECT r.user_id FROM user_traffic r WHERE r.data_limit_reached = TRUE"),
        };
    }
}

/// `union` may be UNION ALL where only absence is checked.
fn push_union<'s, DB: Database>(
    sql: &'s mut QueryBuilder<DB>,
    union: &str,
    sets: &[RareCondition],
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

/// Pushes the condition that the account ends before a date; unless `indexed`, so that no index of dates is used.
fn push_before<DB: Database>(sql: &mut QueryBuilder<DB>, date: i64, indexed: bool)
where
    for<'q> i64: Encode<'q, DB> + Type<DB>,
{
    sql.push(if indexed { "u.expire_date < " } else { "COALESCE(u.expire_date, 9223372036854775807) < " });
    sql.push_bind(date);
}
