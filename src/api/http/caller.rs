//! The caller of a request, for limits per caller: the signed-in admin and the client's address.

use crate::actions::attempt_limiter::Subject;

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
    /// A signed-in admin who may configure engines, with long configurations.
    Configurer,
}

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
    pub(super) fn admin(name: &str, configures: bool) -> Self {
        let rank = if configures { Rank::Configurer } else { Rank::Admin };
        Self { rank, admin: Some(Subject::name(name)), address: None }
    }

    /// The subjects that the request counts for.
    pub(super) fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.admin.into_iter().chain(self.address)
    }
}
