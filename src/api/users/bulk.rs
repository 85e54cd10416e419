//! `POST /api/users/bulk`: one change of many users.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use poem::handler;
use serde::Serialize;
use uuid::Uuid;

use super::input::UserQuery;
use crate::actions::users::bulk_change::{self, MOST, Selection, Wanted};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::by::By;
use crate::api::http::enum_text::{EnumText, impl_text_enum, text_schema};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::{BODY, FieldErrors};
use crate::api::http::loose::{LooseInt, LooseIntIn};
use crate::api::state::State;
use crate::domain::ids::ServiceId;
use crate::domain::user::bulk::{BulkChange, MAX_DATA, MAX_EXTENSION};
use crate::store::IdList;

/// An action on users.
#[derive(Clone, Copy, Debug)]
enum BulkAction {
    Enable,
    Disable,
    Reset,
    Revoke,
    Delete,
    Extend,
    AddData,
    SetOwner,
    AddService,
    RemoveService,
}

impl BulkAction {
    const fn word(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Reset => "reset",
            Self::Revoke => "revoke_sub",
            Self::Delete => "delete",
            Self::Extend => "extend",
            Self::AddData => "add_data",
            Self::SetOwner => "set_owner",
            Self::AddService => "add_service",
            Self::RemoveService => "remove_service",
        }
    }
}

impl_text_enum!(BulkAction:
    Self::Enable, Self::Disable, Self::Reset, Self::Revoke, Self::Delete, Self::Extend, Self::AddData, Self::SetOwner,
    Self::AddService, Self::RemoveService);

/// A change of many users, given by `ids` or by `filter`.
#[derive(Debug, Deserr, utoipa::ToSchema)]
#[deserr(error = FieldErrors)]
pub(in crate::api) struct BulkBody {
    #[schema(schema_with = text_schema::<BulkAction>)]
    action: EnumText<BulkAction>,
    /// Ids of the users, at most 1,000. Ids of users that do not exist, or that the admin does not see, are ignored.
    #[deserr(default)]
    #[schema(value_type = Option<Vec<i64>>, max_items = 1000)]
    ids: Option<Vec<LooseInt>>,
    /// The filters of `GET /api/users`, with `username` as a list. `{}`: all users that the admin sees. A filter that the panel does
    /// not know is refused.
    #[deserr(default)]
    #[schema(value_type = Option<UserQuery>)]
    filter: Option<BulkFilter>,
    /// Only with `filter`: the `cursor` of the last answer.
    #[deserr(default)]
    cursor: Option<String>,
    /// For `extend`: seconds to add to the expiry date, or to now if it has passed, or to the duration of users on hold.
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 1)]
    seconds: Option<LooseIntIn<1, MAX_EXTENSION>>,
    /// For `add_data`: bytes to add to data limits. Users without a limit stay without one.
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 1)]
    bytes: Option<LooseIntIn<1, MAX_DATA>>,
    /// For `set_owner`: username of the new owner.
    #[deserr(default)]
    admin_username: Option<String>,
    /// For `add_service` and `remove_service`.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    service_id: Option<LooseInt>,
    /// A new UUID for each request. The same request with the same key changes nothing again and returns the first answer,
    /// for a day: send it again if the answer was lost.
    #[deserr(default)]
    #[schema(format = "uuid")]
    idempotency_key: Option<String>,
}

/// The filter of a change. Unlike in a list, a name that it does not have is refused: ignored, it would select more users.
#[derive(Debug)]
struct BulkFilter(UserQuery);

impl Deserr<FieldErrors> for BulkFilter {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let value = serde_json::Value::deserialize_from_value(value, location)?;
        let names = value.as_object().into_iter().flat_map(|fields| fields.keys());
        if let Some(unknown) = names.into_iter().find(|name| !UserQuery::FIELDS.contains(&name.as_str())) {
            return Err(FieldErrors::one(unknown, "unknown filter"));
        }
        UserQuery::deserialize_from_value(value.into_value(), location).map(Self)
    }
}

/// The outcome of a change of many users.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BulkAnswer {
    /// Users that this request selected.
    matched: usize,
    /// Users that it changed. The others were as wanted already, or have nothing to change: an account that never
    /// expires, a user without a data limit.
    changed: usize,
    /// If more users match: repeat the request with it. Null after the last ones.
    cursor: Option<String>,
}

/// Changes many users.
///
/// All users with the right to them, the own ones with `modify_users_access`; `set_owner` needs the right to all. Each
/// request is one transaction of at most 1,000 users (a `filter` on SQLite: 500): it changes all that it selects, or nobody. While the answer to a
/// `filter` has a `cursor`, repeat the request with that. Users that are created after the first request are not part of
/// the change. Each changed user is notified as if it were changed alone.
#[utoipa::path(post, path = "/api/users/bulk", tag = "User", request_body = BulkBody,
    responses((status = 200, body = BulkAnswer),
              (status = 404, description = "No such admin or service"),
              (status = 409, description = "The idempotency key was used for another change")))]
#[handler]
pub(in crate::api) async fn change(
    state: &State,
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Json(body): Json<BulkBody>,
) -> Result<Json<BulkAnswer>, ApiError> {
    let wanted = body.wanted()?;
    let key = body.key()?;
    let selection = body.selection(state.options.usage_percent)?;
    let outcome = bulk_change::change(&panel, &admin, key, selection, wanted).await?;
    let cursor = outcome.cursor.map(|cursor| cursor.to_string());
    Ok(Json(BulkAnswer { matched: outcome.matched, changed: outcome.changed, cursor }))
}

impl BulkBody {
    fn wanted(&self) -> Result<Wanted, FieldErrors> {
        let missing =
            |field: &'static str| FieldErrors::one(field, format!("action {} needs it", self.action.0.word()));
        let service = || self.service_id.map(|id| ServiceId(id.0)).ok_or_else(|| missing("service_id"));
        Ok(Wanted::Change(match self.action.0 {
            BulkAction::Enable => BulkChange::Enable,
            BulkAction::Disable => BulkChange::Disable,
            BulkAction::Reset => BulkChange::ResetTraffic,
            BulkAction::Revoke => BulkChange::Revoke,
            BulkAction::Delete => BulkChange::Delete,
            BulkAction::Extend => BulkChange::Extend(self.seconds.ok_or_else(|| missing("seconds"))?.0),
            BulkAction::AddData => BulkChange::AddData(self.bytes.ok_or_else(|| missing("bytes"))?.0),
            BulkAction::AddService => BulkChange::AddService(service()?),
            BulkAction::RemoveService => BulkChange::RemoveService(service()?),
            BulkAction::SetOwner => {
                let owner = self.admin_username.clone().ok_or_else(|| missing("admin_username"))?;
                return Ok(Wanted::SetOwner(owner));
            }
        }))
    }

    fn key(&self) -> Result<Option<Uuid>, FieldErrors> {
        let key = self.idempotency_key.as_deref().map(Uuid::try_parse).transpose();
        key.map_err(|_| FieldErrors::one("idempotency_key", "must be a UUID"))
    }

    fn selection(self, usage_percent: u32) -> Result<Selection, FieldErrors> {
        match (self.ids, self.filter) {
            (Some(ids), None) if ids.len() > MOST => {
                Err(FieldErrors::one("ids", format!("must be at most {MOST}; send the others in another request")))
            }
            (Some(_), None) if self.cursor.is_some() => {
                Err(FieldErrors::one("cursor", "belongs to a filter; users of ids are changed at once"))
            }
            (Some(ids), None) => Ok(Selection::Ids(IdList::new(ids.iter().map(|id| id.0)))),
            (None, Some(BulkFilter(query))) => {
                let cursor = self.cursor.map(|cursor| cursor.parse()).transpose();
                Ok(Selection::Matching {
                    filter: query.filter(usage_percent),
                    owner_username: query.owner_username,
                    cursor: cursor.map_err(|_| FieldErrors::one("cursor", "must be the cursor of an answer"))?,
                })
            }
            _ => Err(FieldErrors::one(BODY, "must have either ids or filter")),
        }
    }
}
