//! `/api/system/settings`: what admins set while the panel runs.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use poem::handler;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::http::auth::Sudo;
use super::http::body::Json;
use super::http::enum_text::word;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::loose::{Flag, Int, OrNull, Word};
use super::http::routes::{Routes, get};
use super::state::State;
use crate::actions;
use crate::domain::subscription_settings::{RuleResult, SubscriptionRule, SubscriptionSettings};
use crate::domain::telegram_settings::TelegramSettings;
use crate::store::settings;
use crate::subscription::client::check_pattern;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(subscription, set_subscription, telegram, set_telegram))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/system/settings/subscription", get(subscription).put(set_subscription))
        .at("/api/system/settings/telegram", get(telegram).put(set_telegram))
}

/// The settings of all subscriptions.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionSettingsResponse {
    /// Browsers get the web page instead of a configuration.
    template_on_acceptance: bool,
    /// What apps call the subscription.
    profile_title: String,
    /// Where apps send people for help.
    support_link: String,
    /// Hours between the apps' fetches.
    update_interval: i64,
    /// A new random order for each fetch.
    shuffle_configs: bool,
    /// Users that are not active get one entry that says so.
    placeholder_if_disabled: bool,
    /// A template: that entry's name.
    placeholder_remark: String,
    /// Which program gets which format: the first rule that matches.
    rules: Vec<RuleResponse>,
}

/// Programs whose User-Agent matches get this.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleResponse {
    /// A regular expression, matched from the start of the User-Agent.
    pattern: String,
    /// What they get.
    #[schema(schema_with = word::<RuleResult>)]
    result: &'static str,
}

/// The settings of all subscriptions: all of them are replaced.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct SubscriptionSettingsRequest {
    /// Browsers get the web page instead of a configuration.
    #[schema(value_type = bool)]
    template_on_acceptance: Flag,
    /// What apps call the subscription.
    profile_title: String,
    /// Where apps send people for help.
    support_link: String,
    /// Hours between the apps' fetches.
    #[schema(value_type = i64)]
    update_interval: Int,
    /// A new random order for each fetch.
    #[deserr(default)]
    #[schema(value_type = bool, default = false)]
    shuffle_configs: Flag,
    /// Users that are not active get one entry that says so.
    #[deserr(default = Flag(true))]
    #[schema(value_type = bool, default = true)]
    placeholder_if_disabled: Flag,
    /// A template: that entry's name.
    #[deserr(default = "disabled".to_owned())]
    #[schema(default = "disabled")]
    placeholder_remark: String,
    /// Which program gets which format: the first rule that matches.
    rules: Vec<RuleRequest>,
}

/// Programs whose User-Agent matches get this.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct RuleRequest {
    /// A regular expression, matched from the start of the User-Agent.
    #[schema(value_type = String, format = Regex)]
    pattern: Pattern,
    /// What they get.
    #[schema(schema_with = word::<RuleResult>)]
    result: Word<RuleResult>,
}

/// A text that is a regular expression.
#[derive(Debug)]
struct Pattern(String);

/// A bot and whom it writes to.
#[derive(Debug, Serialize, ToSchema)]
pub struct TelegramSettingsResponse {
    /// The bot's token.
    token: String,
    /// The chats of admins.
    admin_id: Vec<i64>,
    /// A channel that gets everything, too.
    channel_id: Option<i64>,
}

/// A bot and whom it writes to: all of it is replaced.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct TelegramSettingsRequest {
    /// The bot's token.
    token: String,
    /// The chats of admins.
    #[schema(value_type = Vec<i64>)]
    admin_id: Vec<Int>,
    /// A channel that gets everything, too; null: none.
    #[schema(value_type = Option<i64>, required)]
    channel_id: OrNull<Int>,
}

/// Shows the settings of subscriptions.
#[utoipa::path(get, path = "/api/system/settings/subscription", tag = "System",
    responses((status = 200, body = SubscriptionSettingsResponse)))]
#[handler]
async fn subscription(state: &State, _: Sudo) -> Result<Json<SubscriptionSettingsResponse>, ApiError> {
    Ok(Json(settings::subscription(&state.panel.db).await?.into()))
}

/// Replaces the settings of subscriptions. The other processes of a cluster follow within a second.
#[utoipa::path(put, path = "/api/system/settings/subscription", tag = "System",
    request_body = SubscriptionSettingsRequest, responses((status = 200, body = SubscriptionSettingsResponse)))]
#[handler]
async fn set_subscription(
    state: &State,
    _: Sudo,
    Json(new): Json<SubscriptionSettingsRequest>,
) -> Result<Json<SubscriptionSettingsResponse>, ApiError> {
    let new = SubscriptionSettings::from(new);
    // This process's own cache is dropped by the boundary, after the answer of every such request.
    actions::settings::set_subscription(&state.panel, &new).await?;
    Ok(Json(new.into()))
}

/// Shows the settings of Telegram; null when there are none.
#[utoipa::path(get, path = "/api/system/settings/telegram", tag = "System",
    responses((status = 200, body = Option<TelegramSettingsResponse>)))]
#[handler]
async fn telegram(state: &State, _: Sudo) -> Result<Json<Option<TelegramSettingsResponse>>, ApiError> {
    Ok(Json(settings::telegram(&state.panel.db).await?.map(TelegramSettingsResponse::from)))
}

/// Replaces the settings of Telegram.
#[utoipa::path(put, path = "/api/system/settings/telegram", tag = "System", request_body = TelegramSettingsRequest,
    responses((status = 200, body = TelegramSettingsResponse)))]
#[handler]
async fn set_telegram(
    state: &State,
    _: Sudo,
    Json(new): Json<TelegramSettingsRequest>,
) -> Result<Json<TelegramSettingsResponse>, ApiError> {
    let new = TelegramSettings::from(new);
    actions::settings::set_telegram(&state.panel, &new).await?;
    Ok(Json(new.into()))
}

impl Deserr<FieldErrors> for Pattern {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, place: ValuePointerRef<'_>) -> Result<Self, FieldErrors> {
        let pattern = String::deserialize_from_value(value, place)?;
        match check_pattern(&pattern) {
            Ok(()) => Ok(Self(pattern)),
            Err(_) => Err(FieldErrors::at(place, "must be a regular expression")),
        }
    }
}

impl From<SubscriptionSettingsRequest> for SubscriptionSettings {
    fn from(body: SubscriptionSettingsRequest) -> Self {
        let rule = |rule: RuleRequest| SubscriptionRule { pattern: rule.pattern.0, result: rule.result.0 };
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
