//! Why nothing was done to a user.

use crate::store::{Fault, StoreError, Transient};

/// Why nothing was done to a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such user.
    #[error("there is no user of that name")]
    NotFound,
    /// Not this admin's user, or not this admin's right.
    #[error("you may not do this")]
    Forbidden,
    /// Another user has the name.
    #[error("another user has this name")]
    NameTaken,
    /// Another user has, or had, the key.
    #[error("this key is in use, or was once")]
    KeyTaken,
    /// It is on.
    #[error("the user is enabled already")]
    AlreadyEnabled,
    /// It is off.
    #[error("the user is disabled already")]
    AlreadyDisabled,
    /// Nobody has expired for that long.
    #[error("no user has been expired for that long")]
    NoneExpired,
    /// No such admin.
    #[error("there is no admin of that name")]
    NoSuchAdmin,
    /// The database would not.
    #[error("the database failed")]
    Store(#[source] StoreError),
}

impl UserError {
    /// Sorts out what a failed write of a user means.
    pub(super) fn of_write(error: StoreError) -> Self {
        match error.fault() {
            Fault::Unique(rule) if rule.contains("username") => Self::NameTaken,
            Fault::Unique(_) => Self::KeyTaken,
            _ => Self::Store(error),
        }
    }
}

impl Transient for UserError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}
