//! `/api/audit`: the audit log.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::http::auth::CurrentAdmin;
use super::http::body::Json;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::loose::{LooseInt, LooseMoment};
use super::http::query::{Params, Query};
use super::http::routes::{Routes, get};
use super::state::State;
use crate::domain::audit::TOKEN_KIND;
use crate::domain::moment::Moment;
use crate::store::audit::entries::{self, AuditFilter, AuditRow};

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/api/audit", get(list))
}

/// Entries of one answer, if the request does not say how many, and at most.
const LIMIT: (i64, i64) = (50, 500);

/// Filters of the audit log.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only entries with smaller ids: `next` of the answer before.
    #[deserr(default)]
    #[param(value_type = Option<i64>)]
    older_than: Option<LooseInt>,
    /// Kind of the author: `admin`, `token` (an API token), `command`, `task` or `panel`.
    #[deserr(default)]
    #[param(required = false)]
    actor: String,
    /// Id of an API token: only its changes.
    #[deserr(default)]
    #[param(required = false)]
    token_id: String,
    /// Name of the admin or the task.
    #[deserr(default)]
    #[param(required = false)]
    actor_name: String,
    /// An action, such as `user.update`, or all of an object: `user.`.
    #[deserr(default)]
    #[param(required = false)]
    action: String,
    /// Id of the object.
    #[deserr(default)]
    #[param(value_type = Option<i64>)]
    object_id: Option<LooseInt>,
    /// Name of the object.
    #[deserr(default)]
    #[param(required = false)]
    object_name: String,
    /// Only changes since then. UTC, ISO 8601.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    since: Option<LooseMoment>,
    /// Only changes before then. UTC, ISO 8601.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    until: Option<LooseMoment>,
    /// Number of entries, 50 if not given, at most 500.
    #[deserr(default)]
    #[param(value_type = Option<i64>)]
    limit: Option<LooseInt>,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    id: i64,
    /// Time of the change. UTC, ISO 8601.
    at: String,
    /// Kind of the author: `admin`, `token` (an API token), `command`, `task` or `panel`.
    actor: String,
    /// Id of the API token. `actor_id` and `actor_name` are those of its admin.
    token_id: Option<String>,
    actor_id: Option<i64>,
    /// Name of the admin or the task at that time.
    actor_name: Option<String>,
    /// Epoch of the leader that ran the task.
    epoch: Option<i64>,
    /// Address of the client.
    address: Option<String>,
    /// Id of the request, as in the log.
    request_id: Option<String>,
    /// `OBJECT.VERB`.
    action: String,
    object_id: Option<i64>,
    /// Name of the object at that time, or the filter of a change of many.
    object_name: Option<String>,
    /// Fields before the change, without secrets.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// Fields after the change, without secrets.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
    /// Number of objects that changed.
    objects: i64,
    /// Number of the seal that protects the entry; null until the leader has made it, within about a minute.
    seal: Option<i64>,
}

/// A part of the audit log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    items: Vec<AuditEntry>,
    /// `older_than` of the next part; null after the last one.
    next: Option<i64>,
}

/// Lists the audit log, newest first.
///
/// Every change by an admin, a command or a task has an entry of the same transaction.
#[utoipa::path(get, path = "/api/audit", tag = "Audit", params(AuditQuery), responses((status = 200, body = AuditPage)))]
#[handler]
async fn list(state: &State, _: CurrentAdmin, Query(query): Query<AuditQuery>) -> Result<Json<AuditPage>, ApiError> {
    let limit = query.limit.map_or(LIMIT.0, |limit| limit.0.clamp(1, LIMIT.1));
    let filter = AuditFilter {
        older_than: query.older_than.map_or(i64::MAX, |id| id.0),
        actor: if query.token_id.is_empty() { query.actor } else { format!("{TOKEN_KIND}:{}", query.token_id) },
        actor_name: query.actor_name,
        action: query.action,
        object_id: query.object_id.map_or(0, |id| id.0),
        object_name: query.object_name,
        since: query.since.map_or(Moment::MIN, |moment| moment.0),
        until: query.until.map_or(Moment::MAX, |moment| moment.0),
    };
    // One more than is shown tells whether there is a next part.
    let mut rows = entries::page(&state.panel.db, &filter, limit + 1).await?;
    let next = (rows.len() as i64 > limit).then(|| rows.pop()).and_then(|_| rows.last()).map(|row| row.id);
    Ok(Json(AuditPage { items: rows.into_iter().map(AuditEntry::from).collect(), next }))
}

impl Params for AuditQuery {}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        let (actor, token_id) = match row.actor.split_once(':') {
            Some((kind, id)) => (kind.to_owned(), Some(id.to_owned())),
            None => (row.actor, None),
        };
        Self {
            id: row.id,
            at: Moment::from_micros(row.at).utc_iso(),
            actor,
            token_id,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            epoch: row.epoch,
            address: row.address,
            request_id: row.request_id,
            action: row.action,
            object_id: row.object_id,
            object_name: row.object_name,
            before: json(row.before_change),
            after: json(row.after_change),
            objects: row.objects,
            seal: row.seal,
        }
    }
}
