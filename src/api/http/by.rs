//! The panel on behalf of the signed-in admin, so that the audit log knows who makes a change, and from where.

use poem::{FromRequest, Request, RequestBody};

use super::auth::Identity;
use super::boundary::REQUEST_ID;
use super::client::Client;
use crate::actions::Panel;
use crate::api::state::State;
use crate::domain::audit::{Actor, Origin};

/// The panel, for changes by the signed-in admin. Every handler that changes something takes it.
#[derive(Clone, Debug)]
pub struct By(pub Panel);

impl<'a> FromRequest<'a> for By {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let Identity { admin, token, .. } = Identity::from_request(request, body).await?;
        let state = <&State>::from_request(request, body).await?;
        let actor = match token {
            Some(token) => Actor::Token { token: token.id, admin: admin.id, name: admin.username },
            None => Actor::Admin { id: admin.id, name: admin.username },
        };
        Ok(Self(state.panel.on_behalf_of(origin(state, request, actor))))
    }
}

/// The origin of a request.
pub fn origin(state: &State, request: &Request, actor: Actor) -> Origin {
    let client = Client::of(request, &state.options.http.trusted_proxies);
    let request_id = request.header(REQUEST_ID).map(str::to_owned);
    Origin { actor, address: client.address.map(|address| address.to_string()), request_id }
}
