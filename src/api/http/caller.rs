//! The caller of a request, for limits per caller: the signed-in admin and the client's address.

use crate::actions::attempt_limiter::Subject;
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
    /// A client that has not signed in.
    pub(super) const fn stranger(address: Option<Subject>) -> Self {
        Self { rank: Rank::Stranger, admin: None, address }
    }

    /// The same caller, at that address.
    pub(super) const fn at(self, address: Option<Subject>) -> Self {
        Self { address, ..self }
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
