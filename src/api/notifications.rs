//! `/api/notifications`: the outbox with waiting, delivered and dead notifications; retrying and deleting them.

use deserr::Deserr;
use poem::handler;
use poem::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::http::auth::CurrentAdmin;
use super::http::body::{Empty, Json};
use super::http::by::By;
use super::http::enum_text::{EnumText, text_param};
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Inputs;
use super::http::loose::LooseInt;
use super::http::paging::{Page, Paging};
use super::http::query::{Params, Path, Query};
use super::http::routes::{Routes, delete, get, post};
use super::state::State;
use crate::actions::Panel;
use crate::actions::notifications;
use crate::actions::notifications::{NotificationError, WithDead};
use crate::domain::moment::Moment;
use crate::domain::notification::{Channel, DeliveryState};
use crate::store::notify::outbox;
use crate::store::notify::outbox::{Filter, OutboxEntry};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, retry, remove, retry_dead, remove_dead))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/notifications", get(list))
        .at("/api/notifications/:id", delete(remove))
        .at_literal_or_param("/api/notifications/:id", "dead", delete(remove_dead), delete(remove))
        .at("/api/notifications/retry", post(retry_dead))
        .at("/api/notifications/:id/retry", post(retry))
}

/// A notification for one destination.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notification {
    id: i64,
    /// `webhook` or `telegram`.
    channel: String,
    /// Chat id on Telegram; empty for the webhook.
    recipient: String,
    /// Event, by its name in webhooks.
    action: String,
    /// Id of the user; of an admin's quota, the negative id of the admin.
    user_id: i64,
    /// `waiting`, `delivered` or `dead`.
    state: String,
    /// Number of delivery attempts so far.
    attempts: i64,
    /// Error of the last attempt.
    error: Option<String>,
    /// Time of the event. UTC, ISO 8601.
    created_at: String,
    /// Time of the next attempt; null if there will be none.
    next_attempt_at: Option<String>,
    /// Time of the delivery, or when delivery was given up.
    finished_at: Option<String>,
    /// JSON object that the webhook receives.
    #[schema(value_type = Object)]
    payload: Value,
}

/// Filters of a list of notifications.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct NotificationQuery {
    #[deserr(default)]
    #[param(schema_with = channel)]
    channel: Option<EnumText<Channel>>,
    #[deserr(default)]
    #[param(schema_with = state)]
    state: Option<EnumText<DeliveryState>>,
}

/// Which dead notifications.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct DeadQuery {
    #[deserr(default)]
    #[param(schema_with = channel)]
    channel: Option<EnumText<Channel>>,
}

/// Number of notifications that were changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationCount {
    count: u64,
}

/// The path of a notification.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
struct NotificationPath {
    /// Id of the notification.
    #[param(value_type = i64)]
    id: LooseInt,
}

/// Lists notifications, newest first.
#[utoipa::path(get, path = "/api/notifications", tag = "Notification", params(NotificationQuery, Paging),
    responses((status = 200, body = Page<Notification>)))]
#[handler]
async fn list(
    state: &State,
    _: CurrentAdmin,
    Inputs(Query(query), paging): Inputs<Query<NotificationQuery>, Paging>,
) -> Result<Json<Page<Notification>>, ApiError> {
    let filter =
        Filter { channel: query.channel.map(|channel| channel.0), state: query.state.map(|channel| channel.0) };
    let entries = outbox::page(&state.panel.db, &filter, paging.offset(), paging.limit()).await?;
    let total = outbox::count(&state.panel.db, &filter).await?;
    Ok(Json(paging.page(entries.into_iter().map(Notification::from).collect(), total)))
}

/// Retries a notification now with a fresh attempt count.
///
/// The notification must be dead or waiting. Returns the notification.
#[utoipa::path(post, path = "/api/notifications/{id}/retry", tag = "Notification", params(NotificationPath),
    responses((status = 200, body = Notification), (status = 404, description = "No such notification"),
              (status = 409, description = "The notification is already delivered")))]
#[handler]
async fn retry(
    By(panel): By,
    _: CurrentAdmin,
    Path(path): Path<NotificationPath>,
) -> Result<Json<Notification>, ApiError> {
    Ok(Json(notifications::try_again(&panel, path.id.0).await?.into()))
}

/// Deletes a notification.
///
/// One that waits is not delivered then; one that is being sent may still arrive.
#[utoipa::path(delete, path = "/api/notifications/{id}", tag = "Notification", params(NotificationPath),
    responses((status = 200, body = Empty), (status = 404, description = "No such notification")))]
#[handler]
async fn remove(By(panel): By, _: CurrentAdmin, Path(path): Path<NotificationPath>) -> Result<Json<Empty>, ApiError> {
    notifications::delete(&panel, path.id.0).await?;
    Ok(Json(Empty {}))
}

/// Retries all dead notifications now with a fresh attempt count.
///
/// Returns their number.
#[utoipa::path(post, path = "/api/notifications/retry", tag = "Notification", params(DeadQuery),
    responses((status = 200, body = NotificationCount)))]
#[handler]
async fn retry_dead(
    By(panel): By,
    _: CurrentAdmin,
    Query(query): Query<DeadQuery>,
) -> Result<Json<NotificationCount>, ApiError> {
    all_dead(&panel, WithDead::Retry, query).await
}

/// Deletes all dead notifications.
///
/// Returns their number.
#[utoipa::path(delete, path = "/api/notifications/dead", tag = "Notification", params(DeadQuery),
    responses((status = 200, body = NotificationCount)))]
#[handler]
async fn remove_dead(
    By(panel): By,
    _: CurrentAdmin,
    Query(query): Query<DeadQuery>,
) -> Result<Json<NotificationCount>, ApiError> {
    all_dead(&panel, WithDead::Delete, query).await
}

async fn all_dead(panel: &Panel, what: WithDead, query: DeadQuery) -> Result<Json<NotificationCount>, ApiError> {
    let channel = query.channel.map(|channel| channel.0);
    Ok(Json(NotificationCount { count: notifications::all_dead(panel, what, channel).await? }))
}

fn channel() -> utoipa::openapi::Object {
    text_param::<Channel>("Only notifications on this channel.")
}

fn state() -> utoipa::openapi::Object {
    text_param::<DeliveryState>("Only notifications in this state.")
}

impl Params for NotificationQuery {}

impl Params for DeadQuery {}

impl From<OutboxEntry> for Notification {
    fn from(entry: OutboxEntry) -> Self {
        let iso = |micros: i64| Moment::from_micros(micros).utc_iso();
        Self {
            id: entry.id,
            channel: entry.channel,
            recipient: entry.recipient,
            action: entry.action,
            user_id: entry.user_id,
            next_attempt_at: (entry.state == DeliveryState::Waiting.word()).then(|| iso(entry.next_attempt_at)),
            state: entry.state,
            attempts: entry.attempts,
            error: entry.error,
            created_at: iso(entry.created_at),
            finished_at: entry.finished_at.map(iso),
            payload: serde_json::from_str(&entry.payload).unwrap_or_default(),
        }
    }
}

impl From<NotificationError> for ApiError {
    fn from(error: NotificationError) -> Self {
        match error {
            NotificationError::NotFound => Self::not_found("The notification"),
            NotificationError::Delivered => Self::new(StatusCode::CONFLICT, "The notification is already delivered"),
            NotificationError::Store(error) => error.into(),
        }
    }
}
