//! `/api/system/settings/subscription/offer` and `…/test`: today's client rules for old installations, and what a client
//! gets by its User-Agent.

use deserr::Deserr;
use poem::handler;
use poem::http::StatusCode;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::{OpenApi, ToSchema};

use super::subscription::{RuleRequest, RuleResponse, SubscriptionSettingsResponse, checked};
use crate::actions::settings::{self, TakeRulesError};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::by::By;
use crate::api::http::enum_text::{nullable_text_schema, text_schema};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::routes::{Routes, get, post};
use crate::api::state::State;
use crate::domain::client_rule::{RuleResult, SubscriptionRule};
use crate::store;
use crate::subscription::client_rules::ClientRules;
use crate::subscription::recognition::{Recognition, recognize};
use crate::subscription::rule_offer::{Change, RuleOffer};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(rule_offer, take_rule_offer, test_rules))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/system/settings/subscription/offer", get(rule_offer).post(take_rule_offer))
        .at("/api/system/settings/subscription/test", post(test_rules))
}

/// Today's client rules for an installation that has others.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleOfferResponse {
    /// Programs that would get another answer. Empty if the rules are up to date.
    changes: Vec<RuleChangeResponse>,
    /// The rules after the change: own rules for clients that are no known program, then today's rules for known programs,
    /// then the other rules.
    rules: Vec<RuleResponse>,
}

/// A program that would get another answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleChangeResponse {
    /// Name of the program.
    program: &'static str,
    /// A User-Agent that the program sends.
    user_agent: &'static str,
    /// Its present answer. Null if no rule matches, so that it gets nothing.
    #[schema(schema_with = nullable_text_schema::<RuleResult>)]
    now: Option<&'static str>,
    /// Its answer after the change.
    #[schema(schema_with = text_schema::<RuleResult>)]
    then: &'static str,
}

/// A client to test rules with.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct RuleTestRequest {
    /// User-Agent of the client.
    user_agent: String,
    /// Rules that are not stored yet. Without them, the stored ones are tested.
    #[deserr(default)]
    #[schema(max_items = 100)]
    rules: Option<Vec<RuleRequest>>,
}

/// The answer to a client, and the program that it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleTestResponse {
    /// Position of the rule that is for the client, from 1. Null if no rule matches.
    #[schema(minimum = 1)]
    position: Option<usize>,
    /// That rule.
    rule: Option<RuleResponse>,
    /// Format of the document, as in the last part of a subscription's link. Null if the client gets the web page or nothing.
    format: Option<&'static str>,
    /// Media type of the document.
    content_type: Option<&'static str>,
    /// Name of the client's program, if it is a known one.
    program: Option<&'static str>,
    /// The core in that program: xray, sing-box, mihomo, clash or own.
    core: Option<&'static str>,
    /// Version of the core. Null if the client does not tell it; a known program then counts as up to date.
    core_version: Option<String>,
    /// The answer that this program reads best.
    #[schema(schema_with = nullable_text_schema::<RuleResult>)]
    reads_best: Option<&'static str>,
}

/// Compares the client rules with today's.
///
/// Imported and old rules stay as they are; this returns which programs get something else than today's
/// rules would give them.
#[utoipa::path(get, path = "/api/system/settings/subscription/offer", tag = "System",
    responses((status = 200, body = RuleOfferResponse)))]
#[handler]
async fn rule_offer(state: &State, _: CurrentAdmin) -> Result<Json<RuleOfferResponse>, ApiError> {
    Ok(Json(settings::rule_offer(&state.panel).await?.into()))
}

/// Takes today's client rules.
///
/// Clients that are no known program get the same as before, and programs that a rule of their own blocks
/// stay blocked. Returns the settings of subscriptions.
#[utoipa::path(post, path = "/api/system/settings/subscription/offer", tag = "System",
    responses((status = 200, body = SubscriptionSettingsResponse),
              (status = 409, description = "The rules were changed meanwhile")))]
#[handler]
async fn take_rule_offer(By(panel): By, _: CurrentAdmin) -> Result<Json<SubscriptionSettingsResponse>, ApiError> {
    Ok(Json(settings::take_rules(&panel).await?.into()))
}

/// Tests client rules with a User-Agent.
///
/// Changes nothing.
#[utoipa::path(post, path = "/api/system/settings/subscription/test", tag = "System", request_body = RuleTestRequest,
    responses((status = 200, body = RuleTestResponse)))]
#[handler]
async fn test_rules(
    state: &State,
    _: CurrentAdmin,
    Json(request): Json<RuleTestRequest>,
) -> Result<Json<RuleTestResponse>, ApiError> {
    let rules = match request.rules {
        Some(rules) => checked(rules.into_iter().map(SubscriptionRule::from).collect()).await?,
        None => store::settings::subscription(&state.panel.db).await?.rules,
    };
    let testing = spawn_blocking(move || {
        let found = recognize(&ClientRules::new(&rules), &request.user_agent);
        let rule = found.rule.and_then(|index| rules.get(index)).cloned();
        RuleTestResponse { rule: rule.map(RuleResponse::from), ..found.into() }
    });
    Ok(Json(testing.await.map_err(ApiError::internal)?))
}

impl From<Recognition> for RuleTestResponse {
    fn from(found: Recognition) -> Self {
        Self {
            position: found.rule.map(|index| index + 1),
            rule: None,
            format: found.format.map(|format| format.client_type),
            content_type: found.format.map(|format| format.content_type),
            program: found.program.map(|program| program.name),
            core: found.program.map(|program| program.core.word()),
            core_version: found.core_version.map(|version| version.to_string()),
            reads_best: found.program.map(|program| program.reads.word()),
        }
    }
}

impl From<RuleOffer> for RuleOfferResponse {
    fn from(offer: RuleOffer) -> Self {
        let change = |Change { program, user_agent, now, then }: Change| RuleChangeResponse {
            program,
            user_agent,
            now: now.map(RuleResult::word),
            then: then.word(),
        };
        Self {
            changes: offer.changes.into_iter().map(change).collect(),
            rules: offer.rules.into_iter().map(RuleResponse::from).collect(),
        }
    }
}

impl From<TakeRulesError> for ApiError {
    fn from(error: TakeRulesError) -> Self {
        match error {
            TakeRulesError::Changed => Self::new(StatusCode::CONFLICT, "The rules were changed meanwhile, look again"),
            TakeRulesError::Rules(error) => error.into(),
            TakeRulesError::Store(error) => error.into(),
        }
    }
}
