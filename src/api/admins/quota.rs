//! `/api/admins/{username}/quota`: what an admin may have and use, and what is used.

use deserr::Deserr;
use poem::handler;
use poem::http::StatusCode;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::AdminPath;
use crate::actions::admins::Actor;
use crate::actions::quotas::guard::QuotaError;
use crate::actions::quotas::{self, QuotaChangeError, QuotaState};
use crate::api::http::auth::{CurrentAdmin, Identity};
use crate::api::http::body::Json;
use crate::api::http::by::By;
use crate::api::http::enum_text::{EnumText, impl_text_enum, text_schema};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::loose::LooseIntIn;
use crate::api::http::query::Path;
use crate::api::http::routes::{Routes, get, post};
use crate::api::state::State;
use crate::domain::quota::{MOST, Quota, QuotaRefusal, WhenUsedUp};
use crate::domain::scope::{Action, Resource, Scope};
use crate::domain::user::ResetStrategy;
use crate::domain::user::edit::MAX_USAGE_DURATION;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(show_quota, set_quota, reset_quota))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/admins/:username/quota", get(show_quota).put(set_quota))
        .at("/api/admins/:username/quota/reset", post(reset_quota))
}

impl_text_enum!(WhenUsedUp = Self::ALL);

/// Limits of an admin. A limit that is null or missing is none.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct QuotaInput {
    /// Most users.
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 1)]
    users: Option<LooseIntIn<1, MOST>>,
    /// Most active users: enabled, not expired, and with data left or a periodic reset.
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 1)]
    active_users: Option<LooseIntIn<1, MOST>>,
    /// Most traffic of all users in a period, in bytes. It counts from the moment when it is first limited.
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 1)]
    traffic: Option<LooseIntIn<1, MOST>>,
    /// Length of the period.
    #[deserr(default = EnumText(ResetStrategy::NoReset))]
    #[schema(schema_with = text_schema::<ResetStrategy>)]
    traffic_reset_strategy: EnumText<ResetStrategy>,
    /// Largest data limit of a user, in bytes. With it, no user may be without a limit.
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 1)]
    max_data_limit: Option<LooseIntIn<1, MOST>>,
    /// Longest duration of an account from now on, in seconds. With it, no account may be without an end.
    #[deserr(default)]
    #[schema(value_type = Option<i64>, minimum = 1)]
    max_duration: Option<LooseIntIn<1, MAX_USAGE_DURATION>>,
    /// `refuse`: when the traffic is used up, new users are refused. `disable`: the admin's users are disabled, too, until the quota
    /// is raised or reset.
    #[deserr(default = EnumText(WhenUsedUp::Refuse))]
    #[schema(schema_with = text_schema::<WhenUsedUp>)]
    when_used_up: EnumText<WhenUsedUp>,
}

/// Limits of an admin; null: no limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotaBody {
    users: Option<i64>,
    active_users: Option<i64>,
    /// Bytes in a period.
    traffic: Option<i64>,
    #[schema(schema_with = text_schema::<ResetStrategy>)]
    traffic_reset_strategy: &'static str,
    /// Bytes.
    max_data_limit: Option<i64>,
    /// Seconds.
    max_duration: Option<i64>,
    #[schema(schema_with = text_schema::<WhenUsedUp>)]
    when_used_up: &'static str,
}

/// The use of a quota.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotaUse {
    users: i64,
    active_users: i64,
    /// Bytes in the period; 0 while traffic is not limited.
    traffic: i64,
}

/// The quota of an admin with its use.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotaResponse {
    username: String,
    limits: QuotaBody,
    used: QuotaUse,
    /// The beginning of the period; null while traffic is not limited.
    counted_since: Option<String>,
    /// The end of the period; null: it does not end.
    next_reset_at: Option<String>,
    /// True if the traffic is used up.
    is_used_up: bool,
    /// Users that are disabled because the traffic is used up, and will be enabled again.
    disabled_users: i64,
}

/// Returns the quota of an admin and what is used of it.
///
/// The own one; with the right `admins:read` also that of others.
#[utoipa::path(get, path = "/api/admins/{username}/quota", tag = "Admin", params(AdminPath),
    responses((status = 200, body = QuotaResponse), (status = 403, description = "Another admin's"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn show_quota(
    state: &State,
    identity: Identity,
    Path(path): Path<AdminPath>,
) -> Result<Json<QuotaResponse>, ApiError> {
    let of = state.own_or_other(&identity, Scope(Resource::Admins, Action::Read), Some(&path.username)).await?;
    Ok(Json(quotas::of(&state.panel, &of.username).await?.into()))
}

/// Sets the quota of an admin.
///
/// A limit below its use is refused. Users that exceed `max_data_limit` or `max_duration` already stay as they are.
/// Returns the quota and its use.
#[utoipa::path(put, path = "/api/admins/{username}/quota", tag = "Admin", params(AdminPath), request_body = QuotaInput,
    responses((status = 200, body = QuotaResponse), (status = 403, description = "The admin is another sudo admin, or has more rights than one's own"),
              (status = 404, description = "No such admin")))]
#[handler]
async fn set_quota(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Inputs(Path(path), Json(limits)): Inputs<Path<AdminPath>, Json<QuotaInput>>,
) -> Result<Json<QuotaResponse>, ApiError> {
    Ok(Json(quotas::set(&panel, Actor::Admin(&by), &path.username, &limits.into()).await?.into()))
}

/// Resets the traffic of an admin's quota.
///
/// Traffic counts from now on; users that were disabled because it was used up are enabled again. Returns the quota
/// and its use.
#[utoipa::path(post, path = "/api/admins/{username}/quota/reset", tag = "Admin", params(AdminPath),
    responses((status = 200, body = QuotaResponse), (status = 403, description = "The admin is another sudo admin, or has more rights than one's own"),
              (status = 404, description = "No such admin"), (status = 409, description = "The admin's traffic is not limited")))]
#[handler]
async fn reset_quota(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Path(path): Path<AdminPath>,
) -> Result<Json<QuotaResponse>, ApiError> {
    Ok(Json(quotas::reset(&panel, Actor::Admin(&by), &path.username).await?.into()))
}

impl From<QuotaInput> for Quota {
    fn from(input: QuotaInput) -> Self {
        let number = |value: Option<LooseIntIn<1, MOST>>| value.map(|value| value.0);
        Self {
            users: number(input.users),
            active_users: number(input.active_users),
            traffic: number(input.traffic),
            traffic_reset_strategy: input.traffic_reset_strategy.0,
            max_data_limit: number(input.max_data_limit),
            max_duration: input.max_duration.map(|value| value.0),
            when_used_up: input.when_used_up.0,
        }
    }
}

impl From<QuotaState> for QuotaResponse {
    fn from(state: QuotaState) -> Self {
        let QuotaState { username, quota, used, counted_since, next_reset_at, disabled_users } = state;
        Self {
            username,
            limits: QuotaBody {
                users: quota.users,
                active_users: quota.active_users,
                traffic: quota.traffic,
                traffic_reset_strategy: quota.traffic_reset_strategy.word(),
                max_data_limit: quota.max_data_limit,
                max_duration: quota.max_duration,
                when_used_up: quota.when_used_up.word(),
            },
            used: QuotaUse { users: used.users, active_users: used.active_users, traffic: used.traffic },
            counted_since: counted_since.map(|since| since.utc_iso()),
            next_reset_at: next_reset_at.map(|at| at.utc_iso()),
            is_used_up: quota.is_used_up(used.traffic),
            disabled_users,
        }
    }
}

impl From<QuotaError> for ApiError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Refused(refusal @ QuotaRefusal::UsedUp { .. }) => {
                let text = refusal.to_string();
                let (first, rest) = text.split_at(1);
                Self::new(StatusCode::FORBIDDEN, format!("{}{rest}", first.to_uppercase()))
            }
            QuotaError::Refused(refusal) => FieldErrors::one(refusal.field(), refusal.to_string()).into(),
            QuotaError::OwnerChanged => Self::conflict("The owner of a user changed meanwhile, try again"),
            QuotaError::Store(error) => error.into(),
        }
    }
}

impl From<QuotaChangeError> for ApiError {
    fn from(error: QuotaChangeError) -> Self {
        match error {
            QuotaChangeError::Admin(error) => error.into(),
            QuotaChangeError::BelowUse(below) => FieldErrors::one(below.counted.field(), below.to_string()).into(),
            QuotaChangeError::Own => Self::new(StatusCode::FORBIDDEN, "Your own quota is set by others"),
            QuotaChangeError::NoTraffic => Self::conflict("The admin's quota has no limit of traffic to reset"),
        }
    }
}
