//! Finds out whose request it is, before the handler runs.

use std::net::IpAddr;

use poem::Request;

use super::auth::{SignedIn, bearer_token};
use super::caller::Caller;
use super::client::Client;
use super::error::ApiError;
use crate::actions::attempt_limiter::Subject;
use crate::api::state::State;
use crate::domain::rights::Extent;
use crate::domain::scope::{Action, Resource};

/// Reads the client's address, and checks the token if there is one: the second value is its result.
pub(super) async fn caller(request: &Request, state: &State) -> Result<(Caller, Option<SignedIn>), ApiError> {
    let client = Client::of(request, &state.options.http.trusted_proxies);
    let address = limited(client.address, state);
    let Some(token) = bearer_token(request) else { return Ok((Caller::stranger(address), None)) };
    let identity = state.identity(token, &client).await?;
    let caller = match &identity {
        Ok(known) => {
            state.record_use(known, client.address);
            let configures = known.admin.may(Resource::Nodes, Action::Write, Extent::All);
            Caller::admin(&known.admin.username, configures).at(address)
        }
        Err(_) => Caller::stranger(address),
    };
    Ok((caller, Some(SignedIn(identity))))
}

/// Reads only the client's address; `None` for a trusted proxy and for a Unix socket.
pub(super) fn address(request: &Request, state: &State) -> Option<Subject> {
    limited(Client::of(request, &state.options.http.trusted_proxies).address, state)
}

fn limited(address: Option<IpAddr>, state: &State) -> Option<Subject> {
    let address = address.filter(|address| !state.options.http.trusted_proxies.contain(*address));
    address.map(Subject::address)
}
