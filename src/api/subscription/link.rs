//! Subscription links: the path, and the user whose link it is.

use std::time::Duration;

use poem::{FromRequest, Request, RequestBody};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use utoipa::IntoParams;

use super::subscriber::{Found, Subscriber};
use crate::actions::attempt_limiter::Subject;
use crate::api::http::client::Client;
use crate::api::http::error::ApiError;
use crate::api::state::State;

/// Delay of the answer to a wrong link, after its request: longer than the check of a link takes.
const WRONG_LINK_DELAY: Duration = Duration::from_millis(25);

/// The path of a subscription. Texts that can't be a link are accepted here and answered like a wrong link.
#[derive(Clone, Copy, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct Link<'a> {
    /// Username.
    pub username: &'a str,
    /// Key of the user.
    pub key: &'a str,
}

/// The path of a subscription in a given format.
#[derive(Clone, Copy, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct LinkAs<'a> {
    /// Username.
    pub username: &'a str,
    /// Key of the user.
    pub key: &'a str,
    /// Format: links, v2ray (base64 of links), xray, sing-box, clash, clash-meta or wireguard.
    pub client_type: &'a str,
}

impl<'a> FromRequest<'a> for Link<'a> {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self { username: param(request, "username"), key: param(request, "key") })
    }
}

impl<'a> FromRequest<'a> for LinkAs<'a> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let Link { username, key } = Link::from_request(request, body).await?;
        Ok(Self { username, key, client_type: param(request, "client_type") })
    }
}

/// Returns a parameter of the path.
fn param<'a>(request: &'a Request, name: &str) -> &'a str {
    request.raw_path_param(name).unwrap_or_default()
}

impl State {
    /// Returns the user of a link. Wrong links count towards the limit of the client's address. Right links never do,
    /// because many users may share an address.
    pub(in crate::api) async fn subscriber(
        &self,
        username: &str,
        key: &str,
        client: &Client,
    ) -> Result<Subscriber, ApiError> {
        // All wrong links are answered after the same time, so that it reveals nothing: not if the user exists, nor if it is
        // cached, nor how much of the key is right.
        let due = Instant::now() + WRONG_LINK_DELAY;
        let Found { user, sources, copy_age } = self.find_subscriber(username, key).await?;
        let expected = user.as_ref().map_or("", |user| user.key.as_str());
        let is_right: bool = expected.as_bytes().ct_eq(key.as_bytes()).into();
        // A key that is not hexadecimal was set by hand. Links with such keys are not accepted.
        let is_hex = !key.is_empty() && key.bytes().all(|digit| digit.is_ascii_hexdigit());
        if let Some(user) = user.filter(|_| is_right && is_hex) {
            return Ok(Subscriber { user, sources, copy_age });
        }
        let error = match client.address {
            None => not_found(),
            Some(address) => match self.misses.begin(vec![Subject::address(address)], self.panel.clock.boot()).await {
                // An attempt that is dropped stays counted.
                Ok(_counted) => not_found(),
                Err(full) => ApiError::too_many_requests(full.retry_after),
            },
        };
        Err(error.not_before(due))
    }
}

/// 404: the link is wrong, or its user has no subscription for the client.
pub(super) fn not_found() -> ApiError {
    ApiError::not_found("The subscription")
}
