//! Traffic over time: of a user, a node, all users, or a subscription.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::http::auth::CurrentAdmin;
use super::http::body::Json;
use super::http::client::Client;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Inputs;
use super::http::loose::LooseMoment;
use super::http::query::{Params, Path, Query};
use super::http::routes::{Routes, get};
use super::nodes::NodePath;
use super::state::State;
use super::subscription::link::Link;
use super::users::input::UserPath;
use crate::actions::usage_series::{self, OnNode};
use crate::actions::users::owner_filter;
use crate::domain::moment::Moment;
use crate::domain::scope::{Action, Resource, Scope};
use crate::domain::usage_series::{Series, Span};
use crate::store::usage::by_node::{NodeTotal, totals};
use crate::store::usage::series::Unfolded;

/// Name under which the traffic of all deleted nodes is reported.
const DELETED_NODES: &str = "deleted nodes";

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(of_user, of_node, of_all, by_node, of_subscription))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/users/:username/usage", get(of_user))
        .at("/api/nodes/:node_id/usage", get(of_node))
        .at("/api/system/stats/traffic", get(of_all))
        .at("/api/system/stats/traffic/nodes", get(by_node))
        .at("/sub/:username/:key/usage", get(of_subscription))
}

/// Traffic over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrafficSeries {
    /// Seconds between points.
    step: i64,
    /// Sum of all points in bytes.
    total: i64,
    /// Pairs of unix seconds and bytes, in order of time and without gaps.
    #[schema(value_type = Vec<[i64; 2]>)]
    usages: Vec<(i64, i64)>,
}

/// A user's traffic over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserTraffic {
    username: String,
    /// Traffic by node. Nodes without traffic are left out.
    node_usages: Vec<NodeTraffic>,
    /// Sum of all nodes in bytes.
    total: i64,
}

/// A user's traffic on a node, by hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeTraffic {
    /// Id of the node; null for the total of all deleted nodes.
    node_id: Option<i64>,
    node_name: String,
    /// Pairs of unix seconds and bytes, in order of time and without gaps.
    #[schema(value_type = Vec<[i64; 2]>)]
    usages: Vec<(i64, i64)>,
}

/// The traffic of all nodes.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrafficByNode {
    /// Nodes with traffic, most first.
    nodes: Vec<NodeTrafficTotal>,
    /// Sum of all nodes in bytes.
    total: i64,
}

/// The traffic of a node.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeTrafficTotal {
    /// Id of the node; null for the total of all deleted nodes.
    node_id: Option<i64>,
    node_name: String,
    /// Bytes as they were counted for users.
    total: i64,
}

/// A range of time. An empty text counts as a missing one.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct SpanQuery {
    /// Start of the range. ISO 8601, UTC if it has no offset. Default: 30 days ago.
    #[deserr(default)]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-23T15:00:00Z")]
    start: OptionalMoment,
    /// End of the range. ISO 8601, UTC if it has no offset. Default: now.
    #[deserr(default)]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-24T15:00:00Z")]
    end: OptionalMoment,
}

/// A range of time, and whose users. An empty text counts as a missing one.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct TrafficQuery {
    /// Start of the range. ISO 8601, UTC if it has no offset. Default: 30 days ago.
    #[deserr(default)]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-23T15:00:00Z")]
    start: OptionalMoment,
    /// End of the range. ISO 8601, UTC if it has no offset. Default: now.
    #[deserr(default)]
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-24T15:00:00Z")]
    end: OptionalMoment,
    /// Only the users that this admin owns now. Another one needs the right to all.
    #[deserr(default)]
    owner_username: Option<String>,
}

/// A moment, or none for an empty text.
#[derive(Debug, Default)]
struct OptionalMoment(Option<Moment>);

/// Returns a user's traffic by node and hour.
///
/// For the owner, and for admins who may read all users.
#[utoipa::path(get, path = "/api/users/{username}/usage", operation_id = "usage", tag = "User", params(UserPath, SpanQuery),
    responses((status = 200, body = UserTraffic), (status = 404, description = "No such user")))]
#[handler]
async fn of_user(
    state: &State,
    CurrentAdmin(by): CurrentAdmin,
    Inputs(Path(path), Query(query)): Inputs<Path<UserPath>, Query<SpanQuery>>,
) -> Result<Json<UserTraffic>, ApiError> {
    let span = query.span(state)?;
    let _turn = state.charts.turn(&by).await?;
    let nodes = usage_series::of_user(&state.panel, &by, &path.username, span, state.unfolded()).await?;
    let total = nodes.iter().fold(0i64, |sum, node| sum.saturating_add(node.series.total));
    Ok(Json(UserTraffic { username: path.username, node_usages: nodes.into_iter().map(Into::into).collect(), total }))
}

/// Returns the traffic of all users on a node by hour.
#[utoipa::path(get, path = "/api/nodes/{node_id}/usage", operation_id = "usage", tag = "Node",
    params(NodePath, SpanQuery),
    responses((status = 200, body = TrafficSeries), (status = 404, description = "No such node")))]
#[handler]
async fn of_node(
    state: &State,
    _: CurrentAdmin,
    Inputs(Path(path), Query(query)): Inputs<Path<NodePath>, Query<SpanQuery>>,
) -> Result<Json<TrafficSeries>, ApiError> {
    let series = usage_series::of_node(&state.panel, path.id(), query.span(state)?).await?;
    Ok(Json(series.ok_or_else(|| ApiError::not_found("The node"))?.into()))
}

/// Returns the traffic of users by hour.
///
/// That of all users or of one admin's, or of the own ones for an admin who has the right only for these.
#[utoipa::path(get, path = "/api/system/stats/traffic", operation_id = "traffic", tag = "System", params(TrafficQuery),
    responses((status = 200, body = TrafficSeries),
              (status = 404, description = "No admin has the name in `owner_username`")))]
#[handler]
async fn of_all(
    state: &State,
    CurrentAdmin(by): CurrentAdmin,
    Query(query): Query<TrafficQuery>,
) -> Result<Json<TrafficSeries>, ApiError> {
    let TrafficQuery { start, end, owner_username } = query;
    let span = SpanQuery { start, end }.span(state)?;
    let owner =
        owner_filter(&state.panel, &by, Scope(Resource::Stats, Action::Read), owner_username.as_deref()).await?;
    // That of all users is read from sums.
    let _turn = if owner.is_none() { None } else { Some(state.charts.turn(&by).await?) };
    Ok(Json(usage_series::of_all(&state.panel, owner, span, state.unfolded()).await?.into()))
}

/// Returns the traffic of users by node.
///
/// The traffic of all users on each node that had any, most first.
#[utoipa::path(get, path = "/api/system/stats/traffic/nodes", operation_id = "traffic_by_node", tag = "System",
    params(SpanQuery), responses((status = 200, body = TrafficByNode)))]
#[handler]
async fn by_node(
    state: &State,
    _: CurrentAdmin,
    Query(query): Query<SpanQuery>,
) -> Result<Json<TrafficByNode>, ApiError> {
    let nodes = totals(&state.panel.db, query.span(state)?).await?;
    let total = nodes.iter().fold(0i64, |sum, node| sum.saturating_add(node.bytes));
    Ok(Json(TrafficByNode { nodes: nodes.into_iter().map(NodeTrafficTotal::from).collect(), total }))
}

/// Returns the traffic of a subscription.
///
/// Needs no token. By hour, or by day for a range of more than three days.
#[utoipa::path(get, path = "/sub/{username}/{key}/usage", operation_id = "usage", tag = "Subscription", security(()),
    params(Link, SpanQuery),
    responses((status = 200, body = TrafficSeries), (status = 404, description = "No such subscription"),
              (status = 429, description = "Too many wrong links from this address; Retry-After has the number of seconds to wait")))]
#[handler]
async fn of_subscription(
    state: &State,
    client: Client,
    link: Link<'_>,
    Query(query): Query<SpanQuery>,
) -> Result<Json<TrafficSeries>, ApiError> {
    let span = query.span(state)?;
    let subscriber = state.subscriber(link.username, link.key, &client).await?;
    Ok(Json(usage_series::of_subscription(&state.panel, subscriber.user.id, span).await?.into()))
}

impl State {
    /// Traffic that was counted a moment ago counts where users' hours are recorded at all.
    const fn unfolded(&self) -> Unfolded {
        if self.options.user_hours { Unfolded::Counts } else { Unfolded::Ignored }
    }
}

impl SpanQuery {
    fn span(&self, state: &State) -> Result<Span, FieldErrors> {
        Span::new(self.start.0, self.end.0, state.panel.clock.now())
            .map_err(|error| FieldErrors::one("start", error.to_string()))
    }
}

impl Params for SpanQuery {}

impl Params for TrafficQuery {}

impl Deserr<FieldErrors> for OptionalMoment {
    fn deserialize_from_value<V: deserr::IntoValue>(
        value: deserr::Value<V>,
        location: deserr::ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        match value {
            deserr::Value::String(text) if text.is_empty() => Ok(Self(None)),
            value => LooseMoment::deserialize_from_value(value, location).map(|LooseMoment(moment)| Self(Some(moment))),
        }
    }
}

impl From<Series> for TrafficSeries {
    fn from(series: Series) -> Self {
        Self { step: series.step.seconds(), total: series.total, usages: series.points }
    }
}

impl From<NodeTotal> for NodeTrafficTotal {
    fn from(of: NodeTotal) -> Self {
        let (node_id, node_name) = match of.node {
            Some((id, name)) => (Some(id.0), name),
            None => (None, DELETED_NODES.to_owned()),
        };
        Self { node_id, node_name, total: of.bytes }
    }
}

impl From<OnNode> for NodeTraffic {
    fn from(on: OnNode) -> Self {
        let (node_id, node_name) = match on.node {
            Some((id, name)) => (Some(id.0), name),
            None => (None, DELETED_NODES.to_owned()),
        };
        Self { node_id, node_name, usages: on.series.points }
    }
}
