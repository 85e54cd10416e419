//! `/api/roles`: named sets of rights that admins may have.

use std::collections::BTreeMap;

use deserr::Deserr;
use poem::handler;
use poem::http::StatusCode;
use serde::Serialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::http::auth::CurrentAdmin;
use super::http::body::{Empty, Json};
use super::http::by::By;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::input::Inputs;
use super::http::loose::LooseBool;
use super::http::query::Path;
use super::http::routes::{Routes, get, put};
use super::state::State;
use crate::actions::admins::Actor;
use crate::actions::roles::{self, RoleChange, RoleError};
use crate::domain::rights::{Extent, Rights};
use crate::domain::scope::Scope;
use crate::store::access::roles::UsedRole;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(list, create, modify, remove))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/api/roles", get(list).post(create)).at("/api/roles/:name", put(modify).delete(remove))
}

/// Rights by resource and action: `none`, `own` for what belongs to the admin, or `all`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
pub struct RightsBody(BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>);

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoleBody {
    name: String,
    /// A built-in role has the rights that the program gives it.
    built_in: bool,
    rights: RightsBody,
    /// Its admins must sign in with a second factor.
    requires_second_factor: bool,
    /// Number of admins with this role.
    admins: i64,
}

type RightsByName = BTreeMap<String, BTreeMap<String, String>>;

/// A new role.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct RoleCreate {
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// `none`, `own` or `all` by resource and action, as in `{"users": {"read": "all", "reset": "own"}}`. Those that are missing
    /// are `none`. Who may write users may reset them.
    #[deserr(default)]
    #[schema(required = false)]
    rights: RightsByName,
    /// Its admins must sign in with a second factor.
    #[deserr(default)]
    #[schema(value_type = bool, default = false)]
    requires_second_factor: LooseBool,
}

/// Changes of a role. A field that is null or missing, and a right that is not named, is not changed.
#[derive(Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
pub struct RoleModify {
    #[deserr(default)]
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
    /// See `POST /api/roles`.
    #[deserr(default)]
    rights: Option<RightsByName>,
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    requires_second_factor: Option<LooseBool>,
}

/// The path of a role.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Path)]
struct RolePath {
    /// Name of the role. Exact, case-sensitive match.
    name: String,
}

/// Lists roles.
///
/// The built-in ones first: `owner` is that of sudo admins, `reseller` that of other admins without another one.
#[utoipa::path(get, path = "/api/roles", tag = "Role", responses((status = 200, body = Vec<RoleBody>)))]
#[handler]
async fn list(state: &State, _: CurrentAdmin) -> Result<Json<Vec<RoleBody>>, ApiError> {
    Ok(Json(roles::list(&state.panel).await?.into_iter().map(RoleBody::from).collect()))
}

/// Creates a role.
///
/// It can't have more rights than the admin who makes it. Returns the new role.
#[utoipa::path(post, path = "/api/roles", tag = "Role", request_body = RoleCreate,
    responses((status = 200, body = RoleBody), (status = 403, description = "The role would have more rights than one's own"),
              (status = 409, description = "The name is in use, or there are 100 roles already")))]
#[handler]
async fn create(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Json(body): Json<RoleCreate>,
) -> Result<Json<RoleBody>, ApiError> {
    let new = RoleChange {
        name: Some(body.name),
        rights: read(&body.rights)?,
        requires_second_factor: Some(body.requires_second_factor.0),
    };
    let role = roles::create(&panel, Actor::Admin(&by), new).await?;
    Ok(Json(UsedRole { role, admins: 0 }.into()))
}

/// Changes a role.
///
/// Its admins have the new rights at once on this panel, and within a second on the others. Of a built-in role, only
/// `requires_second_factor` can be changed. Returns the changed role.
#[utoipa::path(put, path = "/api/roles/{name}", tag = "Role", params(RolePath), request_body = RoleModify,
    responses((status = 200, body = RoleBody),
              (status = 403, description = "The role is built-in, or has or would have more rights than one's own"),
              (status = 404, description = "No such role"), (status = 409, description = "The new name is in use")))]
#[handler]
async fn modify(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Inputs(Path(path), Json(body)): Inputs<Path<RolePath>, Json<RoleModify>>,
) -> Result<Json<RoleBody>, ApiError> {
    let change = RoleChange {
        name: body.name,
        rights: body.rights.as_ref().map(read).transpose()?.unwrap_or_default(),
        requires_second_factor: body.requires_second_factor.map(|requires| requires.0),
    };
    Ok(Json(roles::update(&panel, Actor::Admin(&by), &path.name, change).await?.into()))
}

/// Deletes a role that no admin has.
#[utoipa::path(delete, path = "/api/roles/{name}", tag = "Role", params(RolePath),
    responses((status = 200, body = Empty),
              (status = 403, description = "The role is built-in, or has more rights than one's own"),
              (status = 404, description = "No such role"), (status = 409, description = "Admins have this role")))]
#[handler]
async fn remove(
    By(panel): By,
    CurrentAdmin(by): CurrentAdmin,
    Path(path): Path<RolePath>,
) -> Result<Json<Empty>, ApiError> {
    roles::delete(&panel, Actor::Admin(&by), &path.name).await?;
    Ok(Json(Empty {}))
}

/// Reads the rights of a request.
fn read(rights: &RightsByName) -> Result<Vec<(Scope, Extent)>, FieldErrors> {
    let wrong = |text: String| FieldErrors::one("rights", text);
    let mut read = Vec::new();
    for (resource, actions) in rights {
        for (action, extent) in actions {
            let name = format!("{resource}:{action}");
            let scope = Scope::read(&name).map_err(|_| wrong(format!("{name:?} is no right")))?;
            let extent = Extent::read(extent).map_err(|error| wrong(format!("{name}: {error}")))?;
            Rights::default().with(scope, extent).map_err(|error| wrong(error.to_string()))?;
            read.push((scope, extent));
        }
    }
    Ok(read)
}

impl RightsBody {
    /// All rights that there are, with what an admin has of each.
    pub(super) fn of(rights: Rights) -> Self {
        let mut resources: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for scope in Scope::of_roles() {
            let furthest = scope.extents().iter().max().copied().unwrap_or(Extent::None);
            let extent = rights.extent(scope).min(furthest);
            resources.entry(scope.0.name()).or_default().insert(scope.1.name(), extent.name());
        }
        Self(resources)
    }
}

impl From<UsedRole> for RoleBody {
    fn from(used: UsedRole) -> Self {
        let UsedRole { role, admins } = used;
        Self {
            built_in: role.built_in().is_some(),
            rights: RightsBody::of(role.rights),
            requires_second_factor: role.requires_second_factor,
            name: role.name,
            admins,
        }
    }
}

impl From<RoleError> for ApiError {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::NotFound => Self::not_found("The role"),
            RoleError::NameTaken => Self::conflict("Another role has this name"),
            RoleError::Name(fault) => FieldErrors::one("name", fault).into(),
            RoleError::Right(error) => FieldErrors::one("rights", error.to_string()).into(),
            RoleError::Most => Self::conflict("There are 100 roles already; delete one first"),
            RoleError::BuiltIn => {
                let text =
                    "A built-in role can't be renamed, deleted or given other rights; it can require a second factor";
                Self::new(StatusCode::FORBIDDEN, text)
            }
            RoleError::InUse(1) => Self::conflict("1 admin has this role; give it another one first"),
            RoleError::InUse(admins) => {
                Self::conflict(format!("{admins} admins have this role; give them another one first"))
            }
            RoleError::Beyond(scope) => Self::beyond(&scope),
            RoleError::Lost => Self::forbidden(),
            RoleError::Store(error) => error.into(),
        }
    }
}
