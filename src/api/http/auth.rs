//! Authentication: extractors of the signed-in admin and of how it signed in. Rights always come from the database, never from the token.

use std::net::IpAddr;
use std::sync::Arc;

use poem::http::{StatusCode, header};
use poem::{FromRequest, Request, RequestBody};
use uuid::Uuid;

use super::client::Client;
use super::error::ApiError;
use crate::actions::admins::Actor;
use crate::actions::api_tokens::{self, Author, Refused};
use crate::api::operations::{Lacking, Need};
use crate::api::state::State;
use crate::domain::admin::Admin;
use crate::domain::api_token::{ApiToken, PresentedToken, is_api_token};
use crate::domain::rights::Extent;
use crate::domain::scope::Scope;

/// The signed-in admin; without a valid token the answer is 401. The route has checked the right that `api::operations` says that
/// the operation needs.
#[derive(Clone, Debug)]
pub struct CurrentAdmin(pub Admin);

/// The signed-in admin and how it signed in; without a valid token the answer is 401.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The admin.
    pub admin: Admin,
    /// The session; none for API tokens, and for tokens of Marzneshin and of earlier versions.
    pub session: Option<Uuid>,
    /// The API token, if the request has one.
    pub token: Option<Arc<ApiToken>>,
    /// The admin's role requires a second factor, and the admin has none: it may only set one up.
    pub lacks_second_factor: bool,
}

/// The result of the check of a request's token, which was made before the handler runs.
#[derive(Clone, Debug)]
pub(in crate::api) struct SignedIn(pub(in crate::api) Result<Identity, Refused>);

impl SignedIn {
    /// Refuses an API token that lacks the scope of an operation, and an admin who lacks the right.
    pub(super) fn check(&self, need: Need) -> Result<(), ApiError> {
        match &self.0 {
            Ok(identity) => identity.may(need),
            Err(_) => Ok(()),
        }
    }
}

impl Identity {
    /// Refuses an API token that lacks the scope of an operation, an admin who lacks the right, and one who has to set up a second
    /// factor first.
    pub(in crate::api) fn may(&self, need: Need) -> Result<(), ApiError> {
        if self.lacks_second_factor && !need.is_for_setting_up() {
            let text = "Your role requires a second factor: set one up first";
            return Err(ApiError::new(StatusCode::FORBIDDEN, text).with_code("second_factor_required"));
        }
        let forbidden = |text: String| Err(ApiError::new(StatusCode::FORBIDDEN, text));
        let lacks = |scope| forbidden(format!("The API token lacks the scope {scope}"));
        if let Some(token) = &self.token {
            if need == Need::Unknown {
                return forbidden("API tokens are not accepted here".to_owned());
            }
            if let Some((scope, _)) = need.rights().find(|(scope, _)| !token.scopes.allow(*scope)) {
                return lacks(scope);
            }
        }
        match need.lacking(&self.admin) {
            None => Ok(()),
            // A role that requires a second factor lets its admins set one up, whatever else it grants.
            Some(_) if self.lacks_second_factor => Ok(()),
            // Clients of Marzneshin know admins without a role.
            Some(_) if self.admin.role.is_none() => Err(ApiError::forbidden()),
            Some(Lacking { scope, has_own: false }) => forbidden(format!("Your role lacks the right {scope}")),
            Some(Lacking { scope, has_own: true }) => {
                forbidden(format!("Your role has the right {scope} only for what is your own"))
            }
        }
    }

    /// Refuses what is another admin's to those who may not do this to all, to an API token that lacks the scope, and to an admin who
    /// has to set up its own second factor first.
    pub(in crate::api) fn may_of_others(&self, Scope(resource, action): Scope) -> Result<(), ApiError> {
        if self.lacks_second_factor || !self.admin.may(resource, action, Extent::All) {
            return Err(ApiError::forbidden());
        }
        self.may(Need::All(resource, action))
    }

    /// Refuses an API token where a sign-in is changed: the answer has a session's token, which may do more than the scopes allow.
    pub(in crate::api) fn must_have_signed_in(&self) -> Result<(), ApiError> {
        if self.token.is_none() {
            return Ok(());
        }
        let text = "An API token can't change a password or a second factor: sign in";
        Err(ApiError::new(StatusCode::FORBIDDEN, text))
    }

    /// The author of changes of API tokens.
    pub(in crate::api) fn author(&self) -> Author<'_> {
        Author { actor: Actor::Admin(&self.admin), token: self.token.as_deref() }
    }
}

impl<'a> FromRequest<'a> for Identity {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        match request.data::<SignedIn>() {
            Some(SignedIn(Ok(identity))) => Ok(identity.clone()),
            Some(SignedIn(Err(refused))) => Err(ApiError::from(*refused).into()),
            // Every route with an admin checks the token first.
            None => Err(ApiError::from(Refused::Wrong).into()),
        }
    }
}

impl<'a> FromRequest<'a> for CurrentAdmin {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(Identity::from_request(request, body).await?.admin))
    }
}

impl State {
    /// Returns the admin of a token, if the token is valid, its session goes on and the admin may sign in. `client` is the
    /// client's address, which API tokens may depend on.
    pub async fn identity(&self, token: &str, client: &Client) -> Result<Result<Identity, Refused>, ApiError> {
        if is_api_token(token) {
            return self.identity_of_api_token(token, client).await;
        }
        let db = &self.panel.db;
        let refused = Ok(Err(Refused::Wrong));
        let Some(bearer) = self.signer.check(db, token, self.panel.clock.now()).await? else { return refused };
        let Some(account) = self.caches.account(&bearer.username).await? else { return refused };
        if !account.admin.may_sign_in() || !bearer.is_for(&account.admin) {
            return refused;
        }
        if let Some(session) = bearer.session {
            let has_ended = match account.ended.contain(session) {
                Some(has_ended) => has_ended,
                None => self.caches.has_ended(session).await?,
            };
            if has_ended {
                return refused;
            }
        }
        let lacks_second_factor = account.lacks_second_factor;
        Ok(Ok(Identity { admin: account.admin.clone(), session: bearer.session, token: None, lacks_second_factor }))
    }

    async fn identity_of_api_token(&self, token: &str, client: &Client) -> Result<Result<Identity, Refused>, ApiError> {
        let Some(presented) = PresentedToken::read(token) else { return Ok(Err(Refused::Wrong)) };
        let (caches, limiter) = (&self.caches, &self.token_attempts);
        let checked =
            api_tokens::check(&self.panel, caches, limiter, &presented, client.address, client.limited()).await?;
        Ok(checked.map(|account| Identity {
            admin: account.admin,
            session: None,
            token: Some(account.token),
            lacks_second_factor: false,
        }))
    }

    /// Returns the identity of a token, for checks while a response goes on; none if the token is refused, or may not do this any more.
    pub(in crate::api) async fn identity_that_may(
        &self,
        token: &str,
        client: &Client,
        need: Need,
    ) -> Result<Option<Identity>, ApiError> {
        let identity = self.identity(token, client).await?.ok();
        Ok(identity.filter(|identity| identity.may(need).is_ok()))
    }

    /// Records the use of a session or an API token, to be written later.
    pub(super) fn record_use(&self, identity: &Identity, address: Option<IpAddr>) {
        if self.options.http.read_only {
            return;
        }
        let now = self.panel.clock.now();
        if let Some(session) = identity.session {
            self.caches.session_uses.record(session, now, address);
        }
        if let Some(token) = &identity.token {
            self.caches.token_uses.record(token.id, now, address);
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Wrong => Self::unauthorized("Sign in first"),
            Refused::Expired => Self::unauthorized("The API token has expired"),
            Refused::Address => Self::new(StatusCode::FORBIDDEN, "The API token may not be used from this address"),
            Refused::TooMany(too_many) => Self::too_many_requests(too_many.retry_after),
        }
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
