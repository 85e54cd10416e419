//! Answers to errors of changing admins.

use crate::actions::admins::AdminError;
use crate::api::http::error::ApiError;
use crate::api::http::field_errors::FieldErrors;

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound => Self::not_found("The admin"),
            AdminError::NameTaken => Self::conflict("Another admin has this username"),
            AdminError::Username(fault) => FieldErrors::one("username", fault).into(),
            AdminError::NewPassword(fault) => FieldErrors::one("password", fault).into(),
            AdminError::IsSudo => Self::forbidden(),
            AdminError::Password(error) => error.into(),
            AdminError::Store(error) => error.into(),
        }
    }
}
