//! Paths, queries and bodies of requests about users, and their conversion to edits and filters.

use deserr::Deserr;

use super::fields::{DataLimitField, KeyField, NoteField, UsageDurationField, UsernameField};
use crate::api::http::enum_text::{EnumText, nullable_text_schema, text_param, text_schema};
use crate::api::http::field_errors::{BODY, FieldErrors};
use crate::api::http::loose::{Ignored, LooseBool, LooseInt, LooseMoment};
use crate::api::http::paging::Paging;
use crate::api::http::query::Params;
use crate::domain::ids::ServiceId;
use crate::domain::user::edit::{NewUser, UserEdit};
use crate::domain::user::{ExpireStrategy, Expiry, ExpiryEdit, ExpiryError, ExpiryFields, ResetStrategy};
use crate::store::users::list::{Names, NearlyLimited, UserFilter, UserSort, UserWindow};

/// The path of a user.
#[derive(Debug, Deserr, utoipa::IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct UserPath {
    /// Username. Exact, case-sensitive match; stored usernames are lower case.
    pub username: String,
}

/// A new user.
#[derive(Debug, Deserr, utoipa::ToSchema)]
#[deserr(error = FieldErrors)]
#[expect(dead_code, reason = "what answers contain and clients send back is checked, then ignored")]
pub(in crate::api) struct UserCreate {
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    id: Ignored<Option<LooseInt>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    sub_updated_at: Ignored<Option<LooseMoment>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>)]
    sub_last_user_agent: Ignored<Option<String>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    online_at: Ignored<Option<LooseMoment>>,
    #[schema(value_type = String, pattern = r"^\w{3,32}$")]
    username: UsernameField,
    #[schema(schema_with = text_schema::<ExpireStrategy>)]
    expire_strategy: EnumText<ExpireStrategy>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expire_date: Option<LooseMoment>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    usage_duration: Option<UsageDurationField>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    activation_deadline: Option<LooseMoment>,
    #[deserr(default)]
    #[schema(value_type = String, min_length = 3, max_length = 500)]
    key: KeyField,
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    data_limit: Option<DataLimitField>,
    #[deserr(default = EnumText(ResetStrategy::NoReset))]
    #[schema(schema_with = text_schema::<ResetStrategy>, default = "no_reset")]
    data_limit_reset_strategy: EnumText<ResetStrategy>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    note: Option<NoteField>,
    #[deserr(default)]
    #[schema(value_type = Vec<i64>, default = json!([]))]
    service_ids: Vec<LooseInt>,
}

/// Changes of a user. A field that is null or missing is not changed. `username` is required but ignored.
/// `expire_strategy` needs its own fields and clears those of the others, except that a stored `activation_deadline` stays.
#[derive(Debug, Deserr, utoipa::ToSchema)]
#[deserr(error = FieldErrors)]
#[expect(dead_code, reason = "what answers contain and clients send back is checked, then ignored")]
pub(in crate::api) struct UserModify {
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    id: Ignored<Option<LooseInt>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    sub_updated_at: Ignored<Option<LooseMoment>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>)]
    sub_last_user_agent: Ignored<Option<String>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    online_at: Ignored<Option<LooseMoment>>,
    #[deserr(default)]
    #[schema(value_type = String, required = false)]
    key: Ignored<String>,
    #[schema(value_type = String, pattern = r"^\w{3,32}$")]
    username: UsernameField,
    #[deserr(default)]
    #[schema(schema_with = nullable_text_schema::<ExpireStrategy>)]
    expire_strategy: Option<EnumText<ExpireStrategy>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expire_date: Option<LooseMoment>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    usage_duration: Option<UsageDurationField>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    activation_deadline: Option<LooseMoment>,
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    data_limit: Option<DataLimitField>,
    #[deserr(default)]
    #[schema(schema_with = nullable_text_schema::<ResetStrategy>)]
    data_limit_reset_strategy: Option<EnumText<ResetStrategy>>,
    #[deserr(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    note: Option<NoteField>,
    #[deserr(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    service_ids: Option<Vec<LooseInt>>,
}

/// Filters and order of a list of users.
#[derive(Debug, Default, Deserr, utoipa::IntoParams, utoipa::ToSchema)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct UserQuery {
    /// One value: filter by usernames that contain it. Several values: exactly these usernames.
    #[deserr(default)]
    #[param(required = false)]
    #[schema(required = false)]
    username: Vec<String>,
    #[deserr(default)]
    #[param(schema_with = order)]
    #[schema(schema_with = order)]
    order_by: Option<EnumText<UserSort>>,
    /// Descending order. Ignored without `order_by`.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    #[schema(value_type = Option<bool>)]
    descending: LooseBool,
    /// Filter by `is_active`.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    #[schema(value_type = Option<bool>)]
    is_active: Option<LooseBool>,
    /// Filter by `activated`: users that nodes accept.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    #[schema(value_type = Option<bool>)]
    activated: Option<LooseBool>,
    /// Filter by `expired`: users whose fixed expiry date has passed.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    #[schema(value_type = Option<bool>)]
    expired: Option<LooseBool>,
    /// Filter by `data_limit_reached`.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    #[schema(value_type = Option<bool>)]
    data_limit_reached: Option<LooseBool>,
    /// Filter by use of the data limit: users who have used NOTIFY_REACHED_USAGE_PERCENT of it or more and have not reached
    /// it, or the others.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    #[schema(value_type = Option<bool>)]
    nearly_limited: Option<LooseBool>,
    /// Filter by `enabled`.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    #[schema(value_type = Option<bool>)]
    enabled: Option<LooseBool>,
    /// Filter by `expire_strategy`: users who wait for their first use, or those who do not.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    #[schema(value_type = Option<bool>)]
    on_hold: Option<LooseBool>,
    /// Filter by fixed expiry dates before this one.
    #[deserr(default)]
    #[param(value_type = Option<String>, format = DateTime)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_before: Option<LooseMoment>,
    /// Filter by a service of the users.
    #[deserr(default)]
    #[param(value_type = Option<i64>)]
    #[schema(value_type = Option<i64>)]
    service_id: Option<LooseInt>,
    /// Filter by owner. For admins who may read all users.
    #[deserr(default)]
    pub owner_username: Option<String>,
}

impl UserQuery {
    /// The names of the fields.
    pub const FIELDS: [&'static str; 13] = [
        "username",
        "order_by",
        "descending",
        "is_active",
        "activated",
        "expired",
        "data_limit_reached",
        "nearly_limited",
        "enabled",
        "on_hold",
        "expires_before",
        "service_id",
        "owner_username",
    ];
}

impl Params for UserQuery {
    const REPEATABLE: &'static [&'static str] = &["username"];
}

/// The expired users to delete.
#[derive(Debug, Deserr, utoipa::IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ExpiredQuery {
    /// Minimum number of seconds since the fixed expiry date.
    #[param(value_type = i64)]
    pub passed_time: LooseInt,
}

impl Params for ExpiredQuery {}

/// The new owner of a user.
#[derive(Debug, Deserr, utoipa::IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct OwnerQuery {
    /// Username of the new owner.
    pub admin_username: String,
}

impl Params for OwnerQuery {}

impl UserCreate {
    /// Converts the body. Fails if the expiry fields contradict each other.
    pub fn into_new_user(self) -> Result<NewUser, FieldErrors> {
        let fields = expiry_fields(self.expire_date, self.usage_duration.as_ref(), self.activation_deadline);
        let expiry = Expiry::from_request(self.expire_strategy.0, fields).map_err(wrong_expiry)?;
        Ok(NewUser {
            username: self.username.0,
            key: self.key.0,
            expiry,
            data_limit: self.data_limit.map(|limit| limit.0),
            reset_strategy: self.data_limit_reset_strategy.0,
            note: self.note.map(|note| note.0),
            service_ids: services(&self.service_ids),
        })
    }
}

impl UserModify {
    /// Converts the body. Without `expire_strategy` the other expiry fields are stored. Fails if `expire_strategy` lacks
    /// the field that it needs.
    pub fn into_edit(self) -> Result<UserEdit, FieldErrors> {
        let strategy = self.expire_strategy.map(|strategy| strategy.0);
        let fields = expiry_fields(self.expire_date, self.usage_duration.as_ref(), self.activation_deadline);
        Ok(UserEdit {
            expiry: ExpiryEdit::from_request(strategy, fields).map_err(wrong_expiry)?,
            data_limit: self.data_limit.map(|limit| limit.0),
            reset_strategy: self.data_limit_reset_strategy.map(|strategy| strategy.0),
            note: self.note.map(|note| note.0),
            service_ids: self.service_ids.map(|ids| services(&ids)),
        })
    }
}

impl UserQuery {
    /// Returns the filter, without the owner. `usage_percent`: NOTIFY_REACHED_USAGE_PERCENT.
    pub fn filter(&self, usage_percent: u32) -> UserFilter {
        let boolean = |value: Option<LooseBool>| value.map(|value| value.0);
        UserFilter {
            names: match self.username.as_slice() {
                [] => Names::Any,
                [text] => Names::Containing(text.clone()),
                names => Names::Exactly(names.to_vec()),
            },
            service: self.service_id.map(|id| ServiceId(id.0)),
            is_active: boolean(self.is_active),
            activated: boolean(self.activated),
            expired: boolean(self.expired),
            data_limit_reached: boolean(self.data_limit_reached),
            nearly_limited: boolean(self.nearly_limited).map(|is| NearlyLimited { is, percent: usage_percent }),
            enabled: boolean(self.enabled),
            on_hold: boolean(self.on_hold),
            expires_before: self.expires_before.map(|date| date.0),
            ..UserFilter::default()
        }
    }

    /// Returns the order and the range of rows. `descending` is ignored without `order_by`.
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
    text_param::<UserSort>("Field to sort by. Default: id.")
}

fn expiry_fields(
    date: Option<LooseMoment>,
    duration: Option<&UsageDurationField>,
    deadline: Option<LooseMoment>,
) -> ExpiryFields {
    ExpiryFields {
        date: date.map(|date| date.0),
        duration: duration.map(|duration| duration.0),
        deadline: deadline.map(|deadline| deadline.0),
    }
}

fn wrong_expiry(error: ExpiryError) -> FieldErrors {
    FieldErrors::one(BODY, error.to_string())
}

fn services(ids: &[LooseInt]) -> Vec<ServiceId> {
    ids.iter().map(|id| ServiceId(id.0)).collect()
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;
    use utoipa::openapi::RefOr;
    use utoipa::openapi::schema::Schema;

    use super::*;

    #[test]
    fn fields_of_a_filter_are_those_that_the_document_has() {
        let RefOr::T(Schema::Object(object)) = UserQuery::schema() else { panic!("an object") };
        let mut documented: Vec<&str> = object.properties.keys().map(String::as_str).collect();
        let mut fields = UserQuery::FIELDS.to_vec();
        documented.sort_unstable();
        fields.sort_unstable();
        assert_eq!(fields, documented);
    }
}
