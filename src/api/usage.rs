//! Traffic over time: of a user, of a node, of all, and of a subscription.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::http::auth::{CurrentAdmin, Sudo};
use super::http::body::Json;
use super::http::client::Client;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Both;
use super::http::loose::When;
use super::http::query::{Params, Path, Query};
use super::http::routes::{Routes, get};
use super::nodes::NodePath;
use super::state::State;
use super::subscription::Link;
use super::users::input::At;
use crate::actions::usage_series::{self, OnNode};
use crate::domain::moment::Moment;
use crate::domain::usage_series::{Series, Span};

/// What the nodes that are gone are called together.
const GONE: &str = "deleted nodes";

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(of_user, of_node, of_all, of_subscription))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/users/:username/usage", get(of_user))
        .at("/api/nodes/:node_id/usage", get(of_node))
        .at("/api/system/stats/traffic", get(of_all))
        .at("/sub/:username/:key/usage", get(of_subscription))
}

/// Traffic over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrafficSeries {
    /// Seconds from point to point.
    step: i64,
    /// Bytes of all points.
    total: i64,
    /// Unix seconds and bytes, in order of time and without gaps.
    #[schema(value_type = Vec<[i64; 2]>)]
    usages: Vec<(i64, i64)>,
}

/// A user's traffic over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserTraffic {
    username: String,
    /// Only nodes where there was any.
    node_usages: Vec<NodeTraffic>,
    /// Bytes on all nodes.
    total: i64,
}

/// A user's traffic on a node, by the hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeTraffic {
    /// Null: the nodes that are gone.
    node_id: Option<i64>,
    node_name: String,
    /// Unix seconds and bytes, in order of time and without gaps.
    #[schema(value_type = Vec<[i64; 2]>)]
    usages: Vec<(i64, i64)>,
}

/// From when to when, as texts: an empty one says nothing.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct SpanQuery {
    /// The first moment, ISO 8601, UTC unless it says otherwise. Without: 30 days ago.
    #[deserr(default)]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-23T15:00:00Z")]
    start: Maybe,
    /// The last moment. Without: now.
    #[deserr(default)]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-24T15:00:00Z")]
    end: Maybe,
}

/// A moment, or nothing at all.
#[derive(Debug, Default)]
struct Maybe(Option<Moment>);

/// Shows a user's traffic by the hour, node by node.
#[utoipa::path(get, path = "/api/users/{username}/usage", operation_id = "usage", tag = "User", params(At, SpanQuery),
    responses((status = 200, body = UserTraffic), (status = 404, description = "No such user")))]
#[handler]
async fn of_user(
    state: &State,
    CurrentAdmin(by): CurrentAdmin,
    Both(Path(at), Query(query)): Both<Path<At>, Query<SpanQuery>>,
) -> Result<Json<UserTraffic>, ApiError> {
    let span = query.span(state)?;
    let nodes = usage_series::of_user(&state.panel, &by, &at.username, span).await?;
    let total = nodes.iter().fold(0i64, |sum, node| sum.saturating_add(node.series.total));
    Ok(Json(UserTraffic { username: at.username, node_usages: nodes.into_iter().map(Into::into).collect(), total }))
}

/// Shows the traffic of all users on a node, by the hour.
#[utoipa::path(get, path = "/api/nodes/{node_id}/usage", operation_id = "usage", tag = "Node",
    params(NodePath, SpanQuery),
    responses((status = 200, body = TrafficSeries), (status = 404, description = "No such node")))]
#[handler]
async fn of_node(
    state: &State,
    _: Sudo,
    Both(Path(at), Query(query)): Both<Path<NodePath>, Query<SpanQuery>>,
) -> Result<Json<TrafficSeries>, ApiError> {
    let series = usage_series::of_node(&state.panel, at.id(), query.span(state)?).await?;
    Ok(Json(series.ok_or_else(|| ApiError::not_found("The node"))?.into()))
}

/// Shows the traffic of all users by the hour; to others than a sudo, of their own.
#[utoipa::path(get, path = "/api/system/stats/traffic", operation_id = "traffic", tag = "System", params(SpanQuery),
    responses((status = 200, body = TrafficSeries)))]
#[handler]
async fn of_all(
    state: &State,
    CurrentAdmin(by): CurrentAdmin,
    Query(query): Query<SpanQuery>,
) -> Result<Json<TrafficSeries>, ApiError> {
    Ok(Json(usage_series::of_all(&state.panel, &by, query.span(state)?).await?.into()))
}

/// Shows a subscription's own traffic: by the hour, or by the day when more than three days are asked for.
#[utoipa::path(get, path = "/sub/{username}/{key}/usage", operation_id = "usage", tag = "Subscription", security(()),
    params(Link, SpanQuery),
    responses((status = 200, body = TrafficSeries), (status = 404, description = "No such subscription"),
              (status = 429, description = "Too many wrong links from this address")))]
#[handler]
async fn of_subscription(
    state: &State,
    client: Client,
    link: Link<'_>,
    Query(query): Query<SpanQuery>,
) -> Result<Json<TrafficSeries>, ApiError> {
    let span = query.span(state)?;
    let user = state.subscriber(link.username, link.key, &client).await?;
    Ok(Json(usage_series::of_subscription(&state.panel, user.id, span).await?.into()))
}

impl SpanQuery {
    fn span(&self, state: &State) -> Result<Span, FieldErrors> {
        Span::new(self.start.0, self.end.0, state.panel.clock.now())
            .map_err(|error| FieldErrors::one("start", error.to_string()))
    }
}

impl Params for SpanQuery {}

impl Deserr<FieldErrors> for Maybe {
    fn deserialize_from_value<V: deserr::IntoValue>(
        value: deserr::Value<V>,
        place: deserr::ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        match value {
            deserr::Value::String(text) if text.is_empty() => Ok(Self(None)),
            value => When::deserialize_from_value(value, place).map(|When(moment)| Self(Some(moment))),
        }
    }
}

impl From<Series> for TrafficSeries {
    fn from(series: Series) -> Self {
        Self { step: series.step.seconds(), total: series.total, usages: series.points }
    }
}

impl From<OnNode> for NodeTraffic {
    fn from(on: OnNode) -> Self {
        let (node_id, node_name) = match on.node {
            Some((id, name)) => (Some(id.0), name),
            None => (None, GONE.to_owned()),
        };
        Self { node_id, node_name, usages: on.series.points }
    }
}
