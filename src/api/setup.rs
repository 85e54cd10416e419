//! `POST /api/setup`: makes the first sudo admin with a one-time code.

use deserr::Deserr;
use poem::http::StatusCode;
use poem::{Request, handler};
use utoipa::{OpenApi, ToSchema};

use super::admins::fields::{AdminName, NewPassword};
use super::admins::sign_in::Token;
use super::http::body::Json;
use super::http::by;
use super::http::error::ApiError;
use super::http::field_errors::FieldErrors;
use super::http::routes::{Routes, post};
use super::state::State;
use crate::actions::setup::{self, SetupError};
use crate::domain::audit::Actor;

/// The operations of this file.
#[derive(OpenApi)]
#[openapi(paths(make_first_admin))]
pub(super) struct Doc;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.at("/api/setup", post(make_first_admin).before_sign_in())
}

/// The first admin.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
struct FirstAdmin {
    /// The code of a setup link.
    code: String,
    /// Name of the admin.
    #[schema(value_type = String)]
    username: AdminName,
    /// Password of the admin.
    #[schema(value_type = String)]
    password: NewPassword,
}

/// Makes the first sudo admin.
///
/// While there is no admin, each panel that starts logs a setup link with a code, and `sarban admin setup-link` prints one.
/// A code is good for an hour and until the first admin is made. Signs the admin in.
#[utoipa::path(post, path = "/api/setup", tag = "Admin", security(()), request_body = FirstAdmin,
    responses((status = 200, body = Token),
              (status = 403, description = "The code is wrong, was used or is too old, or there is an admin already")))]
#[handler]
async fn make_first_admin(
    state: &State,
    request: &Request,
    Json(first): Json<FirstAdmin>,
) -> Result<Json<Token>, ApiError> {
    let FirstAdmin { code, username: AdminName(name), password: NewPassword(password) } = first;
    let panel = state.panel.on_behalf_of(by::origin(state, request, Actor::Panel));
    let admin = setup::make_first_admin(&panel, &code, &name, password).await?;
    tracing::info!(admin = name, "the first sudo admin was made");
    Ok(Json(Token::of_new_session(state, request, &admin).await?))
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Code => {
                let text = "The setup link is wrong, was used or is older than an hour; `sarban admin setup-link` makes a new one";
                Self::new(StatusCode::FORBIDDEN, text)
            }
            SetupError::Admin(error) => error.into(),
        }
    }
}
