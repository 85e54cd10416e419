//! The caller of a request, for limits per caller: the signed-in admin and the client's address.

use poem::Request;

use super::auth::bearer_token;
use super::client::Client;
use super::error::ApiError;
use crate::actions::attempt_limiter::Subject;
use crate::api::state::State;
use crate::domain::admin::Admin;

/// The caller of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct Caller {
    /// The rights of the caller.
    pub(in crate::api) rank: Rank,
    admin: Option<Subject>,
    /// `None` for a trusted proxy or a Unix socket: many clients share it.
    address: Option<Subject>,
}

/// The rights of a caller, as far as limits depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Rank {
    /// Not signed in.
    Stranger,
    /// A signed-in admin.
    Admin,
    /// A signed-in sudo admin.
    Sudo,
}

/// The admin of a request's token, which was checked before the handler runs; `None` if the token is not valid.
#[derive(Clone, Debug)]
pub(in crate::api) struct SignedIn(pub(in crate::api) Option<Admin>);

impl Caller {
    /// Reads the client's address, and checks the token if there is one: the second value is its result.
    pub(in crate::api) async fn of(request: &Request, state: &State) -> Result<(Self, Option<SignedIn>), ApiError> {
        let stranger = Self::stranger(request, state);
        let Some(token) = bearer_token(request) else { return Ok((stranger, None)) };
        let admin = state.admin_of_token(token).await?;
        let caller = match &admin {
            Some(admin) => Self { address: stranger.address, ..Self::admin(&admin.username, admin.is_sudo) },
            None => stranger,
        };
        Ok((caller, Some(SignedIn(admin))))
    }

    /// Reads only the client's address.
    pub(in crate::api) fn stranger(request: &Request, state: &State) -> Self {
        let trusted = &state.options.http.trusted_proxies;
        let address = Client::of(request, trusted).address.filter(|address| !trusted.contain(*address));
        Self { rank: Rank::Stranger, admin: None, address: address.map(Subject::address) }
    }

    /// An admin of unknown address.
    pub(super) fn admin(name: &str, is_sudo: bool) -> Self {
        let rank = if is_sudo { Rank::Sudo } else { Rank::Admin };
        Self { rank, admin: Some(Subject::name(name)), address: None }
    }

    /// The subjects that the request counts for.
    pub(super) fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.admin.into_iter().chain(self.address)
    }
}
