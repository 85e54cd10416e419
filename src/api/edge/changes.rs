//! What an edge copies: users, the part that all subscriptions share, and what changed after a position. Notes of users are left
//! out: they are the admins' own.

use deserr::Deserr;
use poem::http::{StatusCode, header};
use poem::{Body, Response, handler};
use prost::Message;
use utoipa::{IntoParams, ToSchema};

use crate::api::http::auth::CurrentAdmin;
use crate::api::http::body::Json;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;
use crate::api::http::loose::LooseIntIn;
use crate::api::http::query::{Params, Query};
use crate::api::state::State;
use crate::domain::copy::{CopiedUser, Position, Update, UserPage};
use crate::domain::edge::{FORMAT, FORMAT_HEADER};
use crate::store::copy::source;

/// Users in a page, at most.
const MAX_PAGE: i64 = 5_000;
/// Characters of a position, at most: it names the changes beside transactions that were still running.
const MAX_POSITION: usize = 200_000;

const PROTOBUF: &str = "application/x-protobuf";

/// Where to go on.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct EdgeChangesBody {
    /// The position of the answer before.
    after: String,
}

/// A page of users.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct EdgeUsersQuery {
    /// Id of the last user of the page before.
    #[deserr(default = LooseIntIn(0))]
    #[param(value_type = i64, required = false, default = 0, minimum = 0)]
    after: LooseIntIn<0, { i64::MAX }>,
    /// Users in the page.
    #[deserr(default = LooseIntIn(1_000))]
    #[param(value_type = i64, required = false, default = 1000, minimum = 1, maximum = 5000)]
    limit: LooseIntIn<1, MAX_PAGE>,
}

impl Params for EdgeUsersQuery {}

/// Returns what changed after a position.
///
/// The answer is the protocol buffer `Update`. An edge asks once a second.
#[utoipa::path(post, path = "/api/edge/changes", tag = "Edge", request_body = EdgeChangesBody,
    responses((status = 200, description = "The changes", body = String, content_type = "application/x-protobuf",
               headers(("x-edge-format" = u32, description = "Format of the answer; an edge that does not read it asks another panel"))),
              (status = 410, description = "The changes after that position are not stored any more: begin at the present one")))]
#[handler]
pub(super) async fn changes(
    state: &State,
    _: CurrentAdmin,
    Json(body): Json<EdgeChangesBody, MAX_POSITION>,
) -> Result<Response, ApiError> {
    let db = &state.panel.db;
    let after = Position::from_text(&body.after).ok_or_else(gone)?;
    // The edge does not see that the panel's database was replaced by a back-up or by another server.
    let incarnation = source::incarnation(db).await?;
    if incarnation.is_empty() && !after.incarnation.is_empty() {
        return Err(ApiError::unavailable("The state of the database could not be read, try again"));
    }
    if incarnation != after.incarnation {
        return Err(gone());
    }
    let update = source::update(db, &after).await?.ok_or_else(gone)?;
    let without_notes = update.users.into_iter().map(CopiedUser::without_note).collect();
    Ok(bytes(PROTOBUF, Update { users: without_notes, ..update }.encode_to_vec()))
}

/// Returns users after an id, without removed ones.
///
/// The answer is the protocol buffer `UserPage`. It is empty after the last user.
#[utoipa::path(get, path = "/api/edge/users", tag = "Edge", params(EdgeUsersQuery),
    responses((status = 200, description = "The users", body = String, content_type = "application/x-protobuf",
               headers(("x-edge-format" = u32, description = "Format of the answer; an edge that does not read it asks another panel")))))]
#[handler]
pub(super) async fn users(
    state: &State,
    _: CurrentAdmin,
    Query(query): Query<EdgeUsersQuery>,
) -> Result<Response, ApiError> {
    let page = source::page(&state.panel.db, query.after.0, query.limit.0).await?;
    let page = UserPage { users: page.users.into_iter().map(CopiedUser::without_note).collect() };
    Ok(bytes(PROTOBUF, page.encode_to_vec()))
}

/// Returns the part that all subscriptions share: settings, hosts, addresses, and the owners of users.
#[utoipa::path(get, path = "/api/edge/shared", tag = "Edge",
    responses((status = 200, body = Object,
               headers(("x-edge-format" = u32, description = "Format of the answer; an edge that does not read it asks another panel")))))]
#[handler]
pub(super) async fn shared(state: &State, _: CurrentAdmin) -> Result<Response, ApiError> {
    Ok(bytes("application/json", source::shared_part(&state.panel.db).await?.json()))
}

fn bytes(content_type: &str, bytes: Vec<u8>) -> Response {
    Response::builder()
        .content_type(content_type)
        .header(header::CACHE_CONTROL, "no-store")
        .header(FORMAT_HEADER, FORMAT)
        .body(Body::from_vec(bytes))
}

fn gone() -> ApiError {
    ApiError::new(StatusCode::GONE, "The changes after that position are not stored any more; begin at the present one")
}
