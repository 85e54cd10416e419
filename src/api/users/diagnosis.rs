//! `/api/users/{username}/diagnosis`: everything that stands in the way of a user.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::input::UserPath;
use crate::actions::users::{self, diagnosis};
use crate::api::http::auth::Identity;
use crate::api::http::body::Json;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Routes, get};
use crate::api::operations::Need;
use crate::api::state::State;
use crate::domain::diagnosis::{Diagnosis, Finding};
use crate::domain::scope::{Action, Resource};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(diagnosed))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes.at("/api/users/:username/diagnosis", get(diagnosed))
}

/// The app to diagnose.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct AppQuery {
    /// User-Agent of the app. Without one, that of the last fetch.
    #[deserr(default, rename = "as")]
    #[param(value_type = Option<String>, rename = "as", example = "SFA/1.12.0")]
    user_agent: Option<String>,
}

impl Params for AppQuery {}

/// Everything that stands in the way of a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiagnosisResponse {
    username: String,
    /// User-Agent that was diagnosed; empty for an unknown app.
    user_agent: String,
    /// True if no finding is an error.
    works: bool,
    /// Findings: errors first, then warnings; within a severity in the order in which to look at them.
    findings: Vec<Finding>,
    /// Number of further findings that are not listed.
    left_off: usize,
}

/// Returns why a user can't connect.
///
/// For the owner, and for admins who may read all users. Looks at the account, its services, inbounds, nodes and hosts, at what the app gets, and at
/// the last fetch of the subscription. Returns the findings with a stable code each, an English text, the object to look at
/// and the values of the text; docs/diagnosis.md lists the codes.
#[utoipa::path(get, path = "/api/users/{username}/diagnosis", tag = "User", params(UserPath, AppQuery),
    responses((status = 200, body = DiagnosisResponse),
              (status = 403, description = "The user belongs to another admin, or does not exist and the admin may not read all users"),
              (status = 404, description = "No such user")))]
#[handler]
async fn diagnosed(
    state: &State,
    identity: Identity,
    Inputs(Path(path), Query(query)): Inputs<Path<UserPath>, Query<AppQuery>>,
) -> Result<Json<DiagnosisResponse>, ApiError> {
    let mut user = users::get(&state.panel, &identity.admin, &path.username).await?;
    state.caches.fetches.overlay(&mut user);
    // Of an API token, its scopes decide, too.
    let may_read_nodes = identity.may(Need::All(Resource::Nodes, Action::Read)).is_ok();
    let known = diagnosis::read(&state.panel, may_read_nodes, &user).await?;
    let sources = state.caches.sources().await?;
    let asked = query.user_agent.filter(|agent| !agent.is_empty());
    let user_agent = asked.or_else(|| user.sub_last_user_agent.clone()).unwrap_or_default();
    let turn = state.turns.take(sources.has_many_rules || sources.has_many_hosts(&user)).await?;
    let request = state.rendering(&user, &sources, &user_agent, &turn);
    let diagnosis = known.diagnosis(&sources.rules, &request, &mut state.rng.fork());
    let Diagnosis { works, findings, left_off } = diagnosis;
    Ok(Json(DiagnosisResponse { username: path.username, user_agent, works, findings, left_off }))
}
