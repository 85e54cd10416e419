//! Answers to errors of changing admins.

use crate::actions::admins::{AdminError, RightsError};
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound => Self::not_found("The admin"),
            AdminError::NoSuchOwner => Self::not_found("The new owner"),
            AdminError::NameTaken => Self::conflict("Another admin has this username"),
            AdminError::Username(fault) => FieldErrors::one("username", fault).into(),
            AdminError::NewPassword(fault) => FieldErrors::one("password", fault).into(),
            AdminError::Rights(RightsError::IsSudo) => Self::forbidden(),
            AdminError::NoSuchRole(_) => FieldErrors::one("role", "is no role: `GET /api/roles` lists them").into(),
            AdminError::Rights(RightsError::OtherRole) => {
                FieldErrors::one("role", "contradicts is_sudo: only the role owner is that of sudo admins").into()
            }
            AdminError::Rights(RightsError::Beyond(right)) => Self::beyond(&right),
            AdminError::Rights(RightsError::Lost) => Self::forbidden(),
            AdminError::Password(error) => error.into(),
            AdminError::Quota(error) => error.into(),
            AdminError::Store(error) => error.into(),
        }
    }
}
