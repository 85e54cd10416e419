//! Authentication: extractors of the signed-in admin. Rights always come from the database, never from the token.

use poem::http::header;
use poem::{FromRequest, Request, RequestBody};

use super::caller::SignedIn;
use super::error::ApiError;
use crate::api::state::State;
use crate::domain::admin::Admin;

/// The signed-in admin; without a valid token the answer is 401.
#[derive(Clone, Debug)]
pub struct CurrentAdmin(pub Admin);

/// The signed-in admin, who must be a sudo admin; for others the answer is 403.
#[derive(Clone, Debug)]
pub struct SudoAdmin(pub Admin);

impl<'a> FromRequest<'a> for CurrentAdmin {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let state = <&State>::from_request(request, body).await?;
        let refused = || ApiError::unauthorized("Sign in first");
        let admin = match request.data::<SignedIn>() {
            Some(SignedIn(admin)) => admin.clone(),
            None => state.admin_of_token(bearer_token(request).ok_or_else(refused)?).await?,
        };
        Ok(Self(admin.ok_or_else(refused)?))
    }
}

impl<'a> FromRequest<'a> for SudoAdmin {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let CurrentAdmin(admin) = CurrentAdmin::from_request(request, body).await?;
        if admin.is_sudo { Ok(Self(admin)) } else { Err(ApiError::forbidden().into()) }
    }
}

impl State {
    /// Returns the admin of a token, if the token is valid and the admin may sign in. Extractors call it with the token
    /// of the header; a websocket may have it in its query.
    pub async fn admin_of_token(&self, token: &str) -> Result<Option<Admin>, ApiError> {
        let db = &self.panel.db;
        let Some(bearer) = self.signer.check(db, token, self.panel.clock.now()).await? else { return Ok(None) };
        let admin = self.caches.admin(&bearer.username).await?;
        Ok(admin.filter(|admin| admin.may_sign_in() && bearer.is_for(admin)))
    }
}

/// Returns the token of `Authorization: Bearer …`. The scheme is case-insensitive.
pub fn bearer_token(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header(header::AUTHORIZATION)?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_read_from_a_bearer_header_in_any_case() {
        let token = |value: &str| {
            let request = Request::builder().header("authorization", value).finish();
            bearer_token(&request).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer abc").as_deref(), Some("abc"));
        for refused in ["Basic abc", "Bearer", "Bearer ", "abc"] {
            assert_eq!(token(refused), None, "{refused}");
        }
    }
}
