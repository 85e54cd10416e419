//! `/api/views`: the saved views of the signed-in admin.

use deserr::Deserr;
use poem::handler;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::http::auth::CurrentAdmin;
use super::http::body::Json;
use super::http::by::By;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::routes::{Routes, get};
use super::state::State;
use crate::actions::saved_views;
use crate::domain::saved_view::{SavedView, fault};
use crate::store::access::saved_views as store;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list_views, replace_views))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/api/views", get(list_views).put(replace_views))
}

/// A saved view: a name for a state of the list of users.
#[derive(Debug, Serialize, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct ViewBody {
    /// Unique among the admin's.
    #[schema(min_length = 1, max_length = 40)]
    name: String,
    /// The state of the list, as the client that saves it writes it, at most 2,000 bytes. The dashboard's is the JSON object of
    /// its URL.
    #[schema(max_length = 2000)]
    search: String,
}

/// The saved views of an admin, in their order.
#[derive(Debug, Serialize, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct ViewsBody {
    #[schema(max_items = 30)]
    views: Vec<ViewBody>,
}

/// Returns the saved views of the signed-in admin.
#[utoipa::path(get, path = "/api/views", tag = "Admin", responses((status = 200, body = ViewsBody)))]
#[handler]
async fn list_views(state: &State, CurrentAdmin(admin): CurrentAdmin) -> Result<Json<ViewsBody>, ApiError> {
    let views = store::of_admin(&state.panel.db, admin.id).await?;
    Ok(Json(ViewsBody {
        views: views.into_iter().map(|view| ViewBody { name: view.name, search: view.search }).collect(),
    }))
}

/// Replaces the saved views of the signed-in admin.
///
/// At most 30 views. To add one, send it with those that `GET` returns.
#[utoipa::path(put, path = "/api/views", tag = "Admin", request_body = ViewsBody,
    responses((status = 200, body = ViewsBody)))]
#[handler]
async fn replace_views(
    By(panel): By,
    CurrentAdmin(admin): CurrentAdmin,
    Json(body): Json<ViewsBody>,
) -> Result<Json<ViewsBody>, ApiError> {
    let stored = |view: &ViewBody| SavedView { name: view.name.clone(), search: view.search.clone() };
    let views: Vec<SavedView> = body.views.iter().map(stored).collect();
    if let Some((index, wrong)) = fault(&views) {
        return Err(FieldErrors::one("views", format!("view {}: {wrong}", index + 1)).into());
    }
    saved_views::replace(&panel, &admin, &views).await?;
    Ok(Json(body))
}
