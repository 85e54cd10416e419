//! `/api/system/settings/subscription`: what apps show, and which client gets which format.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::{OpenApi, ToSchema};

use crate::actions::settings;
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::by::By;
use crate::api::http::enum_text::{EnumText, text_schema};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::loose::{LooseBool, LooseInt};
use crate::api::http::routes::{Routes, get};
use crate::api::state::State;
use crate::domain::client_rule::{RuleResult, SubscriptionRule};
use crate::domain::subscription_settings::{SubscriptionChange, SubscriptionSettings};
use crate::store;
use crate::subscription::client_rules::{self, RulesError};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(subscription, set_subscription, change_subscription))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    let methods = get(subscription).put(set_subscription).patch(change_subscription);
    routes.at("/api/system/settings/subscription", methods)
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

/// Changes of the settings of all subscriptions. What is missing or null stays as it is.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct SubscriptionSettingsChange {
    /// True to send browsers a web page instead of a configuration.
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    template_on_acceptance: Option<LooseBool>,
    /// Name of the subscription in client apps.
    #[deserr(default)]
    profile_title: Option<String>,
    /// Support link in client apps.
    #[deserr(default)]
    support_link: Option<String>,
    /// Update interval of client apps in hours.
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    update_interval: Option<LooseInt>,
    /// True to put the entries into a new random order for each fetch.
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    shuffle_configs: Option<LooseBool>,
    /// True to send inactive users a placeholder entry.
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    placeholder_if_disabled: Option<LooseBool>,
    /// Name of the placeholder entry. A template.
    #[deserr(default)]
    placeholder_remark: Option<String>,
    /// Formats by client. The first rule that matches applies.
    #[deserr(default)]
    #[schema(max_items = 100)]
    rules: Option<Vec<RuleRequest>>,
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

/// Returns the settings of subscriptions.
#[utoipa::path(get, path = "/api/system/settings/subscription", tag = "System",
    responses((status = 200, body = SubscriptionSettingsResponse)))]
#[handler]
async fn subscription(state: &State, _: CurrentAdmin) -> Result<Json<SubscriptionSettingsResponse>, ApiError> {
    Ok(Json(store::settings::subscription(&state.panel.db).await?.into()))
}

/// Replaces the settings of subscriptions.
///
/// All processes of the cluster apply them within a second. Returns the new settings.
#[utoipa::path(put, path = "/api/system/settings/subscription", tag = "System",
    request_body = SubscriptionSettingsRequest, responses((status = 200, body = SubscriptionSettingsResponse)))]
#[handler]
async fn set_subscription(
    By(panel): By,
    _: CurrentAdmin,
    Json(new): Json<SubscriptionSettingsRequest>,
) -> Result<Json<SubscriptionSettingsResponse>, ApiError> {
    let mut new = SubscriptionSettings::from(new);
    new.rules = checked(new.rules).await?;
    settings::set_subscription(&panel, &new).await?;
    Ok(Json(new.into()))
}

/// Changes some settings of subscriptions.
///
/// All processes of the cluster apply them within a second. Returns all settings.
#[utoipa::path(patch, path = "/api/system/settings/subscription", tag = "System",
    request_body = SubscriptionSettingsChange, responses((status = 200, body = SubscriptionSettingsResponse)))]
#[handler]
async fn change_subscription(
    By(panel): By,
    _: CurrentAdmin,
    Json(change): Json<SubscriptionSettingsChange>,
) -> Result<Json<SubscriptionSettingsResponse>, ApiError> {
    let rules = match change.rules {
        Some(rules) => Some(checked(rules.into_iter().map(SubscriptionRule::from).collect()).await?),
        None => None,
    };
    let change = SubscriptionChange {
        template_on_acceptance: change.template_on_acceptance.map(|it| it.0),
        profile_title: change.profile_title,
        support_link: change.support_link,
        update_interval: change.update_interval.map(|it| it.0),
        rules,
        shuffle_configs: change.shuffle_configs.map(|it| it.0),
        placeholder_if_disabled: change.placeholder_if_disabled.map(|it| it.0),
        placeholder_remark: change.placeholder_remark,
    };
    Ok(Json(settings::change_subscription(&panel, &change).await?.into()))
}

/// Refuses rules beyond the limits, without keeping a worker from other requests.
pub(super) async fn checked(rules: Vec<SubscriptionRule>) -> Result<Vec<SubscriptionRule>, ApiError> {
    let compiling = spawn_blocking(move || client_rules::check(&rules).map(|()| rules));
    Ok(compiling.await.map_err(ApiError::internal)??)
}

impl From<RulesError> for ApiError {
    fn from(error: RulesError) -> Self {
        let field = if matches!(error, RulesError::TooMany) { "rules" } else { "pattern" };
        FieldErrors::one(field, error.to_string()).into()
    }
}

impl From<RuleRequest> for SubscriptionRule {
    fn from(rule: RuleRequest) -> Self {
        Self { pattern: rule.pattern, result: rule.result.0 }
    }
}

impl From<SubscriptionRule> for RuleResponse {
    fn from(rule: SubscriptionRule) -> Self {
        Self { pattern: rule.pattern, result: rule.result.word() }
    }
}

impl From<SubscriptionSettingsRequest> for SubscriptionSettings {
    fn from(body: SubscriptionSettingsRequest) -> Self {
        Self {
            template_on_acceptance: body.template_on_acceptance.0,
            profile_title: body.profile_title,
            support_link: body.support_link,
            update_interval: body.update_interval.0,
            rules: body.rules.into_iter().map(SubscriptionRule::from).collect(),
            shuffle_configs: body.shuffle_configs.0,
            placeholder_if_disabled: body.placeholder_if_disabled.0,
            placeholder_remark: body.placeholder_remark,
        }
    }
}

impl From<SubscriptionSettings> for SubscriptionSettingsResponse {
    fn from(settings: SubscriptionSettings) -> Self {
        Self {
            template_on_acceptance: settings.template_on_acceptance,
            profile_title: settings.profile_title,
            support_link: settings.support_link,
            update_interval: settings.update_interval,
            shuffle_configs: settings.shuffle_configs,
            placeholder_if_disabled: settings.placeholder_if_disabled,
            placeholder_remark: settings.placeholder_remark,
            rules: settings.rules.into_iter().map(RuleResponse::from).collect(),
        }
    }
}
