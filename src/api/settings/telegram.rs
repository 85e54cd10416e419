//! `/api/system/settings/telegram`: the bot that sends notifications, and its chats.

use deserr::Deserr;
use poem::handler;
use poem::http::StatusCode;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::actions::settings;
use crate::actions::telegram_test::{self, TestError};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::loose::{LooseInt, Nullable, Patch};
use crate::api::http::routes::{Routes, get, post};
use crate::api::state::State;
use crate::domain::telegram_settings::{TelegramChange, TelegramSettings};
use crate::notify::Tested;
use crate::store;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(telegram, set_telegram, change_telegram, test_telegram))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/system/settings/telegram", get(telegram).put(set_telegram).patch(change_telegram))
        // It mostly waits for Telegram.
        .at("/api/system/settings/telegram/test", post(test_telegram).without_permit())
}

/// Telegram bot and the chats it writes to.
#[derive(Debug, Serialize, ToSchema)]
pub struct TelegramSettingsResponse {
    /// Token of the bot.
    token: String,
    /// Chat ids of admins.
    admin_id: Vec<i64>,
    /// Id of a channel that also gets all notifications.
    channel_id: Option<i64>,
}

/// New Telegram bot and chats. They replace all current settings.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct TelegramSettingsRequest {
    /// Token of the bot.
    token: String,
    /// Chat ids of admins.
    #[schema(value_type = Vec<i64>)]
    admin_id: Vec<LooseInt>,
    /// Id of a channel that also gets all notifications, or null.
    #[schema(value_type = Option<i64>, required)]
    channel_id: Nullable<LooseInt>,
}

/// Changes of the Telegram bot and its chats. What is missing stays as it is.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct TelegramSettingsChange {
    /// Token of the bot.
    #[deserr(default)]
    token: Option<String>,
    /// Chat ids of admins.
    #[deserr(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    admin_id: Option<Vec<LooseInt>>,
    /// Id of a channel that also gets all notifications; null for none.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    channel_id: Patch<LooseInt>,
}

/// The settings to test.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct TelegramTestRequest {
    /// Settings that are not stored yet. Without them, those in force are tested: stored ones, or those of the environment.
    #[deserr(default)]
    settings: Option<TelegramSettingsRequest>,
}

/// The result of a test of Telegram.
#[derive(Debug, Serialize, ToSchema)]
pub struct TelegramTestResponse {
    /// The chats, in the order of their ids.
    chats: Vec<TestedChat>,
}

/// A chat that a test message was sent to.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestedChat {
    /// Id of the chat.
    chat: i64,
    /// Why the message did not arrive. Null if it did.
    error: Option<String>,
}

/// Returns the settings of Telegram.
///
/// Returns null if none are stored.
#[utoipa::path(get, path = "/api/system/settings/telegram", tag = "System",
    responses((status = 200, body = Option<TelegramSettingsResponse>)))]
#[handler]
async fn telegram(state: &State, _: CurrentAdmin) -> Result<Json<Option<TelegramSettingsResponse>>, ApiError> {
    Ok(Json(store::settings::telegram(&state.panel.db).await?.map(TelegramSettingsResponse::from)))
}

/// Replaces the settings of Telegram.
///
/// Returns the new settings.
#[utoipa::path(put, path = "/api/system/settings/telegram", tag = "System", request_body = TelegramSettingsRequest,
    responses((status = 200, body = TelegramSettingsResponse)))]
#[handler]
async fn set_telegram(
    By(panel): By,
    _: CurrentAdmin,
    Json(new): Json<TelegramSettingsRequest>,
) -> Result<Json<TelegramSettingsResponse>, ApiError> {
    let new = TelegramSettings::from(new);
    settings::set_telegram(&panel, &new).await?;
    Ok(Json(new.into()))
}

/// Changes some settings of Telegram.
///
/// Returns all settings.
#[utoipa::path(patch, path = "/api/system/settings/telegram", tag = "System", request_body = TelegramSettingsChange,
    responses((status = 200, body = TelegramSettingsResponse)))]
#[handler]
async fn change_telegram(
    By(panel): By,
    _: CurrentAdmin,
    Json(change): Json<TelegramSettingsChange>,
) -> Result<Json<TelegramSettingsResponse>, ApiError> {
    let change = TelegramChange {
        token: change.token,
        admin_id: change.admin_id.map(|ids| ids.into_iter().map(|id| id.0).collect()),
        channel_id: change.channel_id.0.map(|id| id.map(|id| id.0)),
    };
    Ok(Json(settings::change_telegram(&panel, &change).await?.into()))
}

/// Sends a test message to all Telegram chats.
///
/// Stores nothing. Returns for each chat if the message arrived; takes ten seconds at most.
#[utoipa::path(post, path = "/api/system/settings/telegram/test", tag = "System", request_body = TelegramTestRequest,
    responses((status = 200, body = TelegramTestResponse),
              (status = 409, description = "No bot is set, it can't be used, or another test is running")))]
#[handler]
async fn test_telegram(
    state: &State,
    _: CurrentAdmin,
    Json(request): Json<TelegramTestRequest>,
) -> Result<Json<TelegramTestResponse>, ApiError> {
    let given = request.settings.map(TelegramSettings::from);
    let tested = telegram_test::run(&state.panel, &state.options.telegram, given).await?;
    let chat = |Tested { chat, failure }: Tested| TestedChat { chat, error: failure };
    Ok(Json(TelegramTestResponse { chats: tested.into_iter().map(chat).collect() }))
}

impl From<TelegramSettingsRequest> for TelegramSettings {
    fn from(body: TelegramSettingsRequest) -> Self {
        Self {
            token: body.token,
            admin_id: body.admin_id.into_iter().map(|id| id.0).collect(),
            channel_id: body.channel_id.0.map(|id| id.0),
        }
    }
}

impl From<TelegramSettings> for TelegramSettingsResponse {
    fn from(settings: TelegramSettings) -> Self {
        let TelegramSettings { token, admin_id, channel_id } = settings;
        Self { token, admin_id, channel_id }
    }
}

impl From<TestError> for ApiError {
    fn from(error: TestError) -> Self {
        let text = error.to_string();
        match error {
            TestError::Token => FieldErrors::one("token", text).into(),
            TestError::NoChat | TestError::TooManyChats => FieldErrors::one("admin_id", text).into(),
            TestError::NoBot | TestError::Running | TestError::Unusable(_) => Self::new(StatusCode::CONFLICT, text),
        }
    }
}
