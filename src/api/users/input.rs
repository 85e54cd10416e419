//! The requests that write or list users, and what they mean.

use deserr::Deserr;

use super::fields::{Duration, Key, Limit, Name, Note};
use crate::api::http::enum_text::{word, word_for, word_or_null};
use crate::api::http::field_errors::{BODY, FieldErrors};
use crate::api::http::loose::{Flag, Int, When, Word};
use crate::api::http::paging::Paging;
use crate::api::http::query::Params;
use crate::domain::ids::ServiceId;
use crate::domain::user::edit::{NewUser, UserEdit};
use crate::domain::user::{ExpireStrategy, Expiry, ResetStrategy};
use crate::store::users::list::{Names, UserFilter, UserSort, UserWindow};

/// The user that a path names.
#[derive(Debug, Deserr, utoipa::IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct At {
    /// To the letter: stored names are in lower case.
    pub username: String,
}

/// A new user.
#[derive(Debug, Deserr, utoipa::ToSchema)]
#[deserr(error = FieldErrors)]
pub(in crate::api) struct UserCreate {
    #[schema(value_type = String, pattern = r"^\w{3,32}$")]
    username: Name,
    #[schema(schema_with = word::<ExpireStrategy>)]
    expire_strategy: Word<ExpireStrategy>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expire_date: Option<When>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    usage_duration: Option<Duration>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    activation_deadline: Option<When>,
    #[deserr(default)]
    #[schema(value_type = String, max_length = 500)]
    key: Key,
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    data_limit: Option<Limit>,
    #[deserr(default = Word(ResetStrategy::NoReset))]
    #[schema(schema_with = word::<ResetStrategy>, default = "no_reset")]
    data_limit_reset_strategy: Word<ResetStrategy>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    note: Option<Note>,
    #[deserr(default)]
    #[schema(value_type = Vec<i64>, default = json!([]))]
    service_ids: Vec<Int>,
}

/// A change of a user: null or missing leaves a field as it is. The name must be there, and changes nothing.
#[derive(Debug, Deserr, utoipa::ToSchema)]
#[deserr(error = FieldErrors)]
pub(in crate::api) struct UserModify {
    #[schema(value_type = String, pattern = r"^\w{3,32}$")]
    #[expect(dead_code, reason = "checked by being read")]
    username: Name,
    #[deserr(default)]
    #[schema(schema_with = word_or_null::<ExpireStrategy>)]
    expire_strategy: Option<Word<ExpireStrategy>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expire_date: Option<When>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    usage_duration: Option<Duration>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    activation_deadline: Option<When>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    data_limit: Option<Limit>,
    #[deserr(default)]
    #[schema(schema_with = word_or_null::<ResetStrategy>)]
    data_limit_reset_strategy: Option<Word<ResetStrategy>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    note: Option<Note>,
    #[deserr(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    service_ids: Option<Vec<Int>>,
}

/// Which users a list shows, in what order.
#[derive(Debug, Deserr, utoipa::IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct UserQuery {
    /// One: those whose name contains it. Several: exactly these.
    #[deserr(default)]
    username: Vec<String>,
    #[deserr(default)]
    #[param(schema_with = order)]
    order_by: Option<Word<UserSort>>,
    /// Only together with `order_by`.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    descending: Flag,
    /// Whose account works, or does not.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    is_active: Option<Flag>,
    /// Whom the nodes were told of, or not.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    activated: Option<Flag>,
    /// Whose fixed date has passed, or not.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    expired: Option<Flag>,
    /// Who have used up their traffic, or not.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    data_limit_reached: Option<Flag>,
    /// Who are switched on, or off.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    enabled: Option<Flag>,
    /// Only for a sudo.
    #[deserr(default)]
    pub owner_username: Option<String>,
}

impl Params for UserQuery {
    const REPEATABLE: &'static [&'static str] = &["username"];
}

/// Whose users shall be deleted.
#[derive(Debug, Deserr, utoipa::IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ExpiredQuery {
    /// Seconds since the fixed date.
    #[param(value_type = i64)]
    pub passed_time: Int,
}

impl Params for ExpiredQuery {}

/// A new owner.
#[derive(Debug, Deserr, utoipa::IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct OwnerQuery {
    /// The new owner.
    pub admin_username: String,
}

impl Params for OwnerQuery {}

impl UserCreate {
    /// The user that is asked for, unless the fields of its end do not agree.
    pub fn into_new_user(self) -> Result<NewUser, FieldErrors> {
        let end =
            end(self.expire_strategy.0, self.expire_date, self.usage_duration.as_ref(), self.activation_deadline)?;
        Ok(NewUser {
            username: self.username.0,
            key: self.key.0,
            expiry: end,
            data_limit: self.data_limit.map(|limit| limit.0),
            reset_strategy: self.data_limit_reset_strategy.0,
            note: self.note.map(|note| note.0),
            service_ids: services(&self.service_ids),
        })
    }
}

impl UserModify {
    /// The change that is asked for. Without a strategy nothing is said about the account's end.
    pub fn into_edit(self) -> Result<UserEdit, FieldErrors> {
        let strategy = self.expire_strategy.map(|strategy| strategy.0);
        let end = strategy
            .map(|strategy| end(strategy, self.expire_date, self.usage_duration.as_ref(), self.activation_deadline));
        Ok(UserEdit {
            expiry: end.transpose()?,
            data_limit: self.data_limit.map(|limit| limit.0),
            reset_strategy: self.data_limit_reset_strategy.map(|strategy| strategy.0),
            note: self.note.map(|note| note.0),
            service_ids: self.service_ids.map(|ids| services(&ids)),
        })
    }
}

impl UserQuery {
    /// The filter, without an owner.
    pub fn filter(&self) -> UserFilter {
        let flag = |flag: Option<Flag>| flag.map(|flag| flag.0);
        UserFilter {
            names: match self.username.as_slice() {
                [] => Names::Any,
                [text] => Names::Containing(text.clone()),
                names => Names::Exactly(names.to_vec()),
            },
            is_active: flag(self.is_active),
            activated: flag(self.activated),
            expired: flag(self.expired),
            data_limit_reached: flag(self.data_limit_reached),
            enabled: flag(self.enabled),
            ..UserFilter::default()
        }
    }

    /// The order and the part of it. `descending` says nothing without `order_by`.
    pub fn window(&self, paging: &Paging) -> UserWindow {
        UserWindow {
            sort: self.order_by.map_or(UserSort::Id, |sort| sort.0),
            descending: self.order_by.is_some() && self.descending.0,
            offset: paging.offset(),
            limit: paging.limit(),
        }
    }
}

fn order() -> utoipa::openapi::Object {
    word_for::<UserSort>("What to sort by; without: by id.")
}

fn end(
    strategy: ExpireStrategy,
    date: Option<When>,
    duration: Option<&Duration>,
    deadline: Option<When>,
) -> Result<Expiry, FieldErrors> {
    let (date, deadline) = (date.map(|date| date.0), deadline.map(|deadline| deadline.0));
    Expiry::from_request(strategy, date, duration.map(|duration| duration.0), deadline)
        .map_err(|error| FieldErrors::one(BODY, error.to_string()))
}

fn services(ids: &[Int]) -> Vec<ServiceId> {
    ids.iter().map(|id| ServiceId(id.0)).collect()
}
