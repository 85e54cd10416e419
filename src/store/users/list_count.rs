//! The number of users of a list, read from the smallest index that knows it.

use sqlx::{Database, Encode, QueryBuilder, Type};

use super::list_conditions::push_conditions;
use super::list_filter::UserFilter;
use super::list_flags::push_not_expired;
use crate::domain::ids::AdminId;
use crate::domain::moment::Moment;
use crate::store::engine::Engine;

impl UserFilter {
    /// For a filter that (besides the owner) has one condition that most users meet, returns the filter for the rest.
    pub(in crate::store) fn others(&self) -> Option<Self> {
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
            (Self { on_hold: Some(false), ..only_owner.clone() }, Self { on_hold: Some(true), ..only_owner.clone() }),
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

/// Returns the query for the number of matches.
pub(in crate::store) fn count_query<DB: Database>(engine: Engine, filter: &UserFilter, now: Moment) -> QueryBuilder<DB>
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

/// Counts inactive accounts, each for one reason: its date, else being disabled, else its traffic. One sum per reason,
/// because a union of the three sets would have to be built.
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
