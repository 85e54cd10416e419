//! `/api/notifications`: what waits in the outbox, what has arrived, and the dead entries, which can be tried again.

use deserr::Deserr;
use poem::handler;
use poem::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::http::auth::Sudo;
use super::http::body::Json;
use super::http::enum_text::word_for;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Both;
use super::http::loose::{Int, Word};
use super::http::paging::{Page, Paging};
use super::http::query::{Params, Path, Query};
use super::http::routes::{Routes, get, post};
use super::state::State;
use crate::actions::notifications;
use crate::actions::notifications::NoticeError;
use crate::domain::moment::Moment;
use crate::domain::notification::{Channel, DeliveryState};
use crate::store::notify::outbox;
use crate::store::notify::outbox::{Filter, OutboxEntry};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, retry))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/api/notifications", get(list)).at("/api/notifications/:id/retry", post(retry))
}

/// A piece of news on its way to one destination.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notification {
    id: i64,
    /// webhook or telegram.
    channel: String,
    /// On Telegram the chat; else empty.
    recipient: String,
    /// What happened, in the words of the webhook.
    action: String,
    user_id: i64,
    /// waiting, delivered or dead.
    state: String,
    /// Attempts to deliver so far.
    attempts: i64,
    /// Why the last attempt failed.
    error: Option<String>,
    /// When it happened: UTC, ISO 8601.
    created_at: String,
    /// When it is tried next; null when it will not be.
    next_attempt_at: Option<String>,
    /// When it was delivered or given up.
    finished_at: Option<String>,
    /// The webhook's object.
    #[schema(value_type = Object)]
    payload: Value,
}

/// Which ones to list.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct NotificationQuery {
    #[deserr(default)]
    #[param(schema_with = channel)]
    channel: Option<Word<Channel>>,
    #[deserr(default)]
    #[param(schema_with = state)]
    state: Option<Word<DeliveryState>>,
}

/// Which one.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
struct NotificationPath {
    /// Its id.
    #[param(value_type = i64)]
    id: Int,
}

/// Lists notifications, newest first.
#[utoipa::path(get, path = "/api/notifications", tag = "Notification", params(NotificationQuery, Paging),
    responses((status = 200, body = Page<Notification>)))]
#[handler]
async fn list(
    state: &State,
    _: Sudo,
    Both(Query(query), paging): Both<Query<NotificationQuery>, Paging>,
) -> Result<Json<Page<Notification>>, ApiError> {
    let filter = Filter { channel: query.channel.map(|word| word.0), state: query.state.map(|word| word.0) };
    let entries = outbox::page(&state.panel.db, &filter, paging.offset(), paging.limit()).await?;
    let total = outbox::count(&state.panel.db, &filter).await?;
    Ok(Json(paging.page(entries.into_iter().map(Notification::from).collect(), total)))
}

/// Has a notification tried again from the beginning, at once: for dead entries, and for those who can't wait.
#[utoipa::path(post, path = "/api/notifications/{id}/retry", tag = "Notification", params(NotificationPath),
    responses((status = 200, body = Notification), (status = 404, description = "No such notification"),
              (status = 409, description = "It was delivered")))]
#[handler]
async fn retry(state: &State, _: Sudo, Path(at): Path<NotificationPath>) -> Result<Json<Notification>, ApiError> {
    Ok(Json(notifications::try_again(&state.panel, at.id.0).await?.into()))
}

fn channel() -> utoipa::openapi::Object {
    word_for::<Channel>("Those that go this way.")
}

fn state() -> utoipa::openapi::Object {
    word_for::<DeliveryState>("Those that have come this far.")
}

impl Params for NotificationQuery {}

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

impl From<NoticeError> for ApiError {
    fn from(error: NoticeError) -> Self {
        match error {
            NoticeError::NotFound => Self::not_found("The notification"),
            NoticeError::Delivered => Self::new(StatusCode::CONFLICT, "The notification was delivered"),
            NoticeError::Store(error) => error.into(),
        }
    }
}
