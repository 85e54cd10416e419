//! Errors of use cases on users.

use crate::actions::quotas::guard::QuotaError;
use crate::store::{Fault, StoreError, Transient};

/// Why a user was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such user.
    #[error("there is no user of that name")]
    NotFound,
    /// Another admin's user, or a right that this admin lacks.
    #[error("not allowed")]
    Forbidden,
    /// Another user has the name.
    #[error("another user has this name")]
    NameTaken,
    /// Another user has, or had, the key.
    #[error("this key is in use, or was used before")]
    KeyTaken,
    /// The user is enabled already.
    #[error("the user is enabled already")]
    AlreadyEnabled,
    /// The user is disabled already.
    #[error("the user is disabled already")]
    AlreadyDisabled,
    /// No user expired before that date.
    #[error("no users expired before that date")]
    NoneExpired,
    /// No such admin.
    #[error("there is no admin of that name")]
    NoSuchAdmin,
    /// No such service.
    #[error("there is no service of that id")]
    NoSuchService,
    /// A request with this idempotency key asked for something else.
    #[error("the idempotency key was used for another change")]
    OtherRequest,
    /// The quota of the owner has no room.
    #[error(transparent)]
    Quota(QuotaError),
    /// The database failed.
    #[error("the database failed")]
    Store(#[source] StoreError),
}

impl UserError {
    /// Classifies a failed write of a user.
    pub(super) fn of_write(error: StoreError) -> Self {
        match error.fault() {
            Fault::Unique(rule) if rule.contains("username") => Self::NameTaken,
            Fault::Unique(_) => Self::KeyTaken,
            _ => Self::Store(error),
        }
    }
}

impl From<QuotaError> for UserError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Store(error) => Self::Store(error),
            error => Self::Quota(error),
        }
    }
}

impl Transient for UserError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Quota(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }
}
