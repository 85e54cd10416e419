//! `/api/inbounds/hosts` and `/api/inbounds/{id}/hosts`: hosts, the entries of subscriptions.

mod body;
mod core_settings;
mod parts;
pub(in crate::api) mod preview;

use std::collections::BTreeSet;

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::inbounds::{self, InboundPath};
use super::state::State;
use crate::actions::hosts::HostError;
use crate::actions::{self, Panel};
use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::{Empty, Json};
use crate::api::http::by::By;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::input::Inputs;
use crate::api::http::loose::{LooseBool, LooseInt};
use crate::api::http::paging::{Page, Paging};
use crate::api::http::query::{Params, Path, Query};
use crate::api::http::routes::{Methods, Routes, get, post};
use crate::domain::host::{Host, HostSpec};
use crate::domain::ids::HostId;
use crate::store;
use crate::store::hosts::{HostChange, HostView};
use body::HostBody;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, list_of_inbound, create_unbound, create_bound, change, read, replace, remove))]
pub(in crate::api) struct Doc;

pub(in crate::api) fn routes(routes: Routes) -> Routes {
    routes
        .at("/api/inbounds/hosts", get(list).post(create_unbound).put(change))
        .at("/api/inbounds/hosts/:id", one())
        .at_literal_or_param("/api/inbounds/hosts/:id", "preview", post(preview::preview), one())
        .at("/api/inbounds/:id/hosts", get(list_of_inbound).post(create_bound))
}

/// The operations on one host.
fn one() -> Methods {
    get(read).put(replace).delete(remove)
}

/// A host. `protocol` is that of its inbound, if it has one.
#[derive(Debug, Serialize, ToSchema)]
pub struct HostResponse {
    #[serde(flatten)]
    #[schema(value_type = HostBody)]
    spec: HostSpec,
    is_disabled: bool,
    universal: bool,
    weight: i64,
    inbound_id: Option<i64>,
    service_ids: Vec<i64>,
    chain_ids: Vec<i64>,
    id: i64,
}

/// The path of a host.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
pub struct HostPath {
    /// Id of the host.
    #[param(value_type = i64)]
    id: LooseInt,
}

/// Filters of a list of hosts.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct HostFilter {
    /// Filter by a part of the remark, the address, the SNI or the Host header, case-insensitive. `%` and `_` are wildcards.
    #[deserr(default)]
    #[param(required = false)]
    search: String,
}

impl Params for HostFilter {}

/// Changes of several hosts. Hosts that do not exist are ignored.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct HostChanges {
    hosts: Vec<HostChangeBody>,
}

/// A change of one of several hosts. A field that is null or missing is not changed.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct HostChangeBody {
    #[schema(value_type = i64)]
    id: LooseInt,
    #[deserr(default)]
    #[schema(value_type = Option<i64>)]
    weight: Option<LooseInt>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    is_disabled: Option<LooseBool>,
}

/// Lists all hosts.
#[utoipa::path(get, path = "/api/inbounds/hosts", tag = "Host", params(HostFilter, Paging),
    responses((status = 200, body = Page<HostResponse>)))]
#[handler]
async fn list(
    state: &State,
    _: CurrentAdmin,
    Inputs(Query(filter), paging): Inputs<Query<HostFilter>, Paging>,
) -> Result<Json<Page<HostResponse>>, ApiError> {
    let hosts = store::hosts::page(&state.panel.db, &filter.search, paging.limit(), paging.offset()).await?;
    let total = store::hosts::count(&state.panel.db, &filter.search).await?;
    Ok(Json(paging.page(hosts.into_iter().map(HostResponse::from).collect(), total)))
}

/// Lists the hosts of an inbound.
#[utoipa::path(get, path = "/api/inbounds/{id}/hosts", tag = "Host", params(InboundPath, Paging),
    responses((status = 200, body = Page<HostResponse>), (status = 404, description = "No such inbound")))]
#[handler]
async fn list_of_inbound(
    state: &State,
    _: CurrentAdmin,
    Inputs(Path(path), paging): Inputs<Path<InboundPath>, Paging>,
) -> Result<Json<Page<HostResponse>>, ApiError> {
    let db = &state.panel.db;
    if !store::hosts::inbounds::exists(db, path.id()).await? {
        return Err(inbounds::not_found());
    }
    let hosts = store::hosts::page_of_inbound(db, path.id(), paging.limit(), paging.offset()).await?;
    let total = store::hosts::count_of_inbound(db, path.id()).await?;
    Ok(Json(paging.page(hosts.into_iter().map(HostResponse::from).collect(), total)))
}

/// Creates a host without an inbound.
///
/// The host is enabled. Returns the new host.
#[utoipa::path(post, path = "/api/inbounds/hosts", tag = "Host", request_body = HostBody,
    responses((status = 200, body = HostResponse)))]
#[handler]
async fn create_unbound(
    By(panel): By,
    _: CurrentAdmin,
    Json(body): Json<HostBody>,
) -> Result<Json<HostResponse>, ApiError> {
    create(&panel, body.checked()?).await
}

/// Creates a host for an inbound.
///
/// The host is enabled. Returns the new host.
#[utoipa::path(post, path = "/api/inbounds/{id}/hosts", tag = "Host", params(InboundPath), request_body = HostBody,
    responses((status = 200, body = HostResponse), (status = 404, description = "No such inbound")))]
#[handler]
async fn create_bound(
    By(panel): By,
    _: CurrentAdmin,
    Inputs(Path(path), Json(body)): Inputs<Path<InboundPath>, Json<HostBody>>,
) -> Result<Json<HostResponse>, ApiError> {
    create(&panel, Host { inbound_id: Some(path.id()), ..body.checked()? }).await
}

async fn create(panel: &Panel, host: Host) -> Result<Json<HostResponse>, ApiError> {
    let host = Host { is_disabled: false, ..host };
    Ok(Json(actions::hosts::create(panel, &host).await?.into()))
}

/// Returns a host.
#[utoipa::path(get, path = "/api/inbounds/hosts/{id}", tag = "Host", params(HostPath),
    responses((status = 200, body = HostResponse), (status = 404, description = "No such host")))]
#[handler]
async fn read(state: &State, _: CurrentAdmin, Path(path): Path<HostPath>) -> Result<Json<HostResponse>, ApiError> {
    let view = store::hosts::by_id(&state.panel.db, path.id()).await?;
    Ok(Json(view.ok_or_else(not_found)?.into()))
}

/// Replaces a host.
///
/// A field that is missing gets its default, but `core_settings`, which older clients do not know, stay as they
/// are. The inbound does not change. Returns the new host.
#[utoipa::path(put, path = "/api/inbounds/hosts/{id}", tag = "Host", params(HostPath), request_body = HostBody,
    responses((status = 200, body = HostResponse), (status = 404, description = "No such host")))]
#[handler]
async fn replace(
    By(panel): By,
    _: CurrentAdmin,
    Inputs(Path(path), Json(body)): Inputs<Path<HostPath>, Json<HostBody>>,
) -> Result<Json<HostResponse>, ApiError> {
    let keeps_core_settings = body.keeps_core_settings();
    let host = Host { id: path.id(), ..body.checked()? };
    Ok(Json(actions::hosts::replace(&panel, &host, keeps_core_settings).await?.into()))
}

/// Changes the weight or the state of several hosts, and nothing else of them.
///
/// All hosts are changed at once. No host may be there twice.
#[utoipa::path(put, path = "/api/inbounds/hosts", tag = "Host", request_body = HostChanges,
    responses((status = 200, body = Empty)))]
#[handler]
async fn change(By(panel): By, _: CurrentAdmin, Json(body): Json<HostChanges>) -> Result<Json<Empty>, ApiError> {
    let mut ids = BTreeSet::new();
    if let Some(twice) = body.hosts.iter().find(|host| !ids.insert(host.id.0)) {
        let fault = format!("must name each host once; {} is there twice", twice.id.0);
        return Err(FieldErrors::one("id", fault).into());
    }
    let changes: Vec<HostChange> = body.hosts.into_iter().map(HostChange::from).collect();
    actions::hosts::change(&panel, &changes).await?;
    Ok(Json(Empty {}))
}

/// Deletes a host.
///
/// The host is also removed from the chains of other hosts.
#[utoipa::path(delete, path = "/api/inbounds/hosts/{id}", tag = "Host", params(HostPath),
    responses((status = 200, body = Empty), (status = 404, description = "No such host")))]
#[handler]
async fn remove(By(panel): By, _: CurrentAdmin, Path(path): Path<HostPath>) -> Result<Json<Empty>, ApiError> {
    actions::hosts::remove(&panel, path.id()).await?;
    Ok(Json(Empty {}))
}

fn not_found() -> ApiError {
    ApiError::not_found("The host")
}

impl From<HostError> for ApiError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::NotFound => not_found(),
            HostError::InboundNotFound => inbounds::not_found(),
            HostError::Store(error) => error.into(),
        }
    }
}

impl From<HostChangeBody> for HostChange {
    fn from(body: HostChangeBody) -> Self {
        Self {
            id: HostId(body.id.0),
            weight: body.weight.map(|weight| weight.0),
            is_disabled: body.is_disabled.map(|flag| flag.0),
        }
    }
}

impl HostPath {
    const fn id(&self) -> HostId {
        HostId(self.id.0)
    }
}

impl From<HostView> for HostResponse {
    fn from(HostView { host, inbound_protocol }: HostView) -> Self {
        let protocol = inbound_protocol.or(host.spec.protocol);
        Self {
            spec: HostSpec { protocol, ..host.spec },
            is_disabled: host.is_disabled,
            universal: host.universal,
            weight: host.weight,
            inbound_id: host.inbound_id.map(|id| id.0),
            service_ids: host.service_ids.iter().map(|id| id.0).collect(),
            chain_ids: host.chain_ids.iter().map(|id| id.0).collect(),
            id: host.id.0,
        }
    }
}
