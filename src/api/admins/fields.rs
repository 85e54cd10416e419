//! Validating readers of the fields of an admin, and the filters of a list.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use utoipa::IntoParams;

use crate::api::http::field_errors::FieldErrors;
use crate::api::http::loose::LooseIds;
use crate::api::http::query::Params;
use crate::api::http::short_text::ShortText;
use crate::config::secret::Secret;
use crate::domain::admin::{password_fault, username_fault};
use crate::domain::ids::ServiceId;

/// Filters of a list of admins.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub struct AdminFilter {
    /// Filter by a part of the username, case-insensitive. `%` and `_` are wildcards.
    #[deserr(default)]
    #[param(required = false)]
    pub(super) username: String,
}

/// The name of a new admin.
#[derive(Debug)]
pub(in crate::api) struct AdminName(pub String);

/// A new password.
#[derive(Debug)]
pub(in crate::api) struct NewPassword(pub Secret);

impl Params for AdminFilter {}

impl Deserr<FieldErrors> for AdminName {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let ShortText(name) = ShortText::deserialize_from_value(value, location)?;
        match username_fault(&name) {
            None => Ok(Self(name)),
            Some(fault) => Err(FieldErrors::at(location, fault)),
        }
    }
}

impl Deserr<FieldErrors> for NewPassword {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let password = String::deserialize_from_value(value, location)?;
        match password_fault(&password) {
            None => Ok(Self(Secret::new(password))),
            Some(fault) => Err(FieldErrors::at(location, fault)),
        }
    }
}

/// The services that ids in a body name.
pub(super) fn service_ids(ids: LooseIds) -> Vec<ServiceId> {
    ids.0.into_iter().map(ServiceId).collect()
}
