//! Finds out whose request it is, before the handler runs.

use poem::Request;

use super::auth::bearer_token;
use super::caller::{Caller, SignedIn};
use super::client::Client;
use super::error::ApiError;
use crate::actions::attempt_limiter::Subject;
use crate::api::state::State;

/// Reads the client's address, and checks the token if there is one: the second value is its result.
pub(super) async fn caller(request: &Request, state: &State) -> Result<(Caller, Option<SignedIn>), ApiError> {
    let address = address(request, state);
    let Some(token) = bearer_token(request) else { return Ok((Caller::stranger(address), None)) };
    let admin = state.admin_of_token(token).await?;
    let caller = match &admin {
        Some(admin) => Caller::admin(&admin.username, admin.is_sudo).at(address),
        None => Caller::stranger(address),
    };
    Ok((caller, Some(SignedIn(admin))))
}

/// Reads only the client's address; `None` for a trusted proxy and for a Unix socket.
pub(super) fn address(request: &Request, state: &State) -> Option<Subject> {
    let trusted = &state.options.http.trusted_proxies;
    let address = Client::of(request, trusted).address.filter(|address| !trusted.contain(*address));
    address.map(Subject::address)
}
