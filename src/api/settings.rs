//! `/api/system/settings`: settings that admins change at run time.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::{OpenApi, ToSchema};

use super::http::auth::SudoAdmin;
use super::http::body::Json;
use super::http::enum_text::{EnumText, text_schema};
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::loose::{LooseBool, LooseInt, Nullable};
use super::http::routes::{Routes, get};
use super::state::State;
use crate::actions;
use crate::domain::client_rule::{RuleResult, SubscriptionRule};
use crate::domain::subscription_settings::SubscriptionSettings;
use crate::domain::telegram_settings::TelegramSettings;
use crate::store::settings;
use crate::subscription::client_rules::{self, RulesError};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(subscription, set_subscription, telegram, set_telegram))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/system/settings/subscription", get(subscription).put(set_subscription))
        .at("/api/system/settings/telegram", get(telegram).put(set_telegram))
}

/// Settings of all subscriptions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionSettingsResponse {
    /// True to send browsers a web page instead of a configuration.
    template_on_acceptance: bool,
    /// Name of the subscription in client apps.
    profile_title: String,
    /// Support link in client apps.
    support_link: String,
    /// Update interval of client apps in hours.
    update_interval: i64,
    /// True to put the entries into a new random order for each fetch.
    shuffle_configs: bool,
    /// True to send inactive users a placeholder entry.
    placeholder_if_disabled: bool,
    /// Name of the placeholder entry. A template.
    placeholder_remark: String,
    /// Formats by client. The first rule that matches applies.
    rules: Vec<RuleResponse>,
}

/// The format for clients whose User-Agent matches.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleResponse {
    /// Regular expression, matched from the start of the User-Agent.
    pattern: String,
    /// Format that the clients get.
    #[schema(schema_with = text_schema::<RuleResult>)]
    result: &'static str,
}

/// New settings of all subscriptions. They replace all current ones.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct SubscriptionSettingsRequest {
    /// True to send browsers a web page instead of a configuration.
    #[schema(value_type = bool)]
    template_on_acceptance: LooseBool,
    /// Name of the subscription in client apps.
    profile_title: String,
    /// Support link in client apps.
    support_link: String,
    /// Update interval of client apps in hours.
    #[schema(value_type = i64)]
    update_interval: LooseInt,
    /// True to put the entries into a new random order for each fetch.
    #[deserr(default)]
    #[schema(value_type = bool, default = false)]
    shuffle_configs: LooseBool,
    /// True to send inactive users a placeholder entry.
    #[deserr(default = LooseBool(true))]
    #[schema(value_type = bool, default = true)]
    placeholder_if_disabled: LooseBool,
    /// Name of the placeholder entry. A template.
    #[deserr(default = "disabled".to_owned())]
    #[schema(default = "disabled")]
    placeholder_remark: String,
    /// Formats by client. The first rule that matches applies.
    #[schema(max_items = 100)]
    rules: Vec<RuleRequest>,
}

/// The format for clients whose User-Agent matches.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct RuleRequest {
    /// Regular expression, matched from the start of the User-Agent.
    #[schema(format = Regex, max_length = 1000)]
    pattern: String,
    /// Format that the clients get.
    #[schema(schema_with = text_schema::<RuleResult>)]
    result: EnumText<RuleResult>,
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

/// Returns the settings of subscriptions.
///
/// For sudo admins.
#[utoipa::path(get, path = "/api/system/settings/subscription", tag = "System",
    responses((status = 200, body = SubscriptionSettingsResponse)))]
#[handler]
async fn subscription(state: &State, _: SudoAdmin) -> Result<Json<SubscriptionSettingsResponse>, ApiError> {
    Ok(Json(settings::subscription(&state.panel.db).await?.into()))
}

/// Replaces the settings of subscriptions.
///
/// For sudo admins. All processes of the cluster apply them within a second. Returns the new settings.
#[utoipa::path(put, path = "/api/system/settings/subscription", tag = "System",
    request_body = SubscriptionSettingsRequest, responses((status = 200, body = SubscriptionSettingsResponse)))]
#[handler]
async fn set_subscription(
    state: &State,
    _: SudoAdmin,
    Json(new): Json<SubscriptionSettingsRequest>,
) -> Result<Json<SubscriptionSettingsResponse>, ApiError> {
    let new = checked(SubscriptionSettings::from(new)).await?;
    actions::settings::set_subscription(&state.panel, &new).await?;
    Ok(Json(new.into()))
}

/// Refuses rules beyond the limits, without keeping a worker from other requests.
async fn checked(settings: SubscriptionSettings) -> Result<SubscriptionSettings, ApiError> {
    let compiling = spawn_blocking(move || client_rules::check(&settings.rules).map(|()| settings));
    match compiling.await.map_err(ApiError::internal)? {
        Ok(settings) => Ok(settings),
        Err(error) => {
            let field = if matches!(error, RulesError::TooMany) { "rules" } else { "pattern" };
            Err(FieldErrors::one(field, error.to_string()).into())
        }
    }
}

/// Returns the settings of Telegram.
///
/// For sudo admins. Returns null if none are stored.
#[utoipa::path(get, path = "/api/system/settings/telegram", tag = "System",
    responses((status = 200, body = Option<TelegramSettingsResponse>)))]
#[handler]
async fn telegram(state: &State, _: SudoAdmin) -> Result<Json<Option<TelegramSettingsResponse>>, ApiError> {
    Ok(Json(settings::telegram(&state.panel.db).await?.map(TelegramSettingsResponse::from)))
}

/// Replaces the settings of Telegram.
///
/// For sudo admins. Returns the new settings.
#[utoipa::path(put, path = "/api/system/settings/telegram", tag = "System", request_body = TelegramSettingsRequest,
    responses((status = 200, body = TelegramSettingsResponse)))]
#[handler]
async fn set_telegram(
    state: &State,
    _: SudoAdmin,
    Json(new): Json<TelegramSettingsRequest>,
) -> Result<Json<TelegramSettingsResponse>, ApiError> {
    let new = TelegramSettings::from(new);
    actions::settings::set_telegram(&state.panel, &new).await?;
    Ok(Json(new.into()))
}

impl From<SubscriptionSettingsRequest> for SubscriptionSettings {
    fn from(body: SubscriptionSettingsRequest) -> Self {
        let rule = |rule: RuleRequest| SubscriptionRule { pattern: rule.pattern, result: rule.result.0 };
        Self {
            template_on_acceptance: body.template_on_acceptance.0,
            profile_title: body.profile_title,
            support_link: body.support_link,
            update_interval: body.update_interval.0,
            rules: body.rules.into_iter().map(rule).collect(),
            shuffle_configs: body.shuffle_configs.0,
            placeholder_if_disabled: body.placeholder_if_disabled.0,
            placeholder_remark: body.placeholder_remark,
        }
    }
}

impl From<SubscriptionSettings> for SubscriptionSettingsResponse {
    fn from(settings: SubscriptionSettings) -> Self {
        let rule = |rule: SubscriptionRule| RuleResponse { pattern: rule.pattern, result: rule.result.word() };
        Self {
            template_on_acceptance: settings.template_on_acceptance,
            profile_title: settings.profile_title,
            support_link: settings.support_link,
            update_interval: settings.update_interval,
            shuffle_configs: settings.shuffle_configs,
            placeholder_if_disabled: settings.placeholder_if_disabled,
            placeholder_remark: settings.placeholder_remark,
            rules: settings.rules.into_iter().map(rule).collect(),
        }
    }
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
