//! Enums that the API reads and writes as text: the reader, the OpenAPI schemas, and the domain types that have both.

use deserr::{Deserr, IntoValue, Value, ValueKind, ValuePointerRef};
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

use super::field_errors::{FieldErrors, wrong_kind};
use crate::domain::client_rule::RuleResult;
use crate::domain::host::{Alpn, Fingerprint, HostSecurity, NoiseKind};
use crate::domain::node::{ConnectionBackend, NodeStatus};
use crate::domain::notification::{Channel, DeliveryState};
use crate::domain::user::ExpireStrategy;
use crate::domain::user::ResetStrategy;
use crate::store::cluster::run_history::RunState;
use crate::store::users::list::UserSort;

/// A value of an enum, given as exactly one of its texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnumText<T>(pub T);

/// An enum with a text for each value. `impl_text_enum!` implements it for a domain type.
pub trait TextEnum: Sized + Copy + 'static {
    /// All values, in the order in which an error lists them.
    const ALL: &'static [Self];

    /// The text of a value.
    fn text(self) -> &'static str;
}

/// Implements [`TextEnum`] for a type with `word()`, from a list of all its values or from a constant that holds it.
macro_rules! impl_text_enum {
    ($type:ty: $($value:expr),+ $(,)?) => {
        $crate::api::http::enum_text::impl_text_enum!($type = [$($value),+]);
    };
    ($type:ty = $all:expr) => {
        impl $crate::api::http::enum_text::TextEnum for $type {
            const ALL: &'static [Self] = &$all;

            fn text(self) -> &'static str {
                <$type>::word(self)
            }
        }
    };
}

pub(crate) use impl_text_enum;

impl_text_enum!(ResetStrategy: Self::NoReset, Self::Day, Self::Week, Self::Month, Self::Year);
impl_text_enum!(ExpireStrategy: Self::Never, Self::FixedDate, Self::StartOnFirstUse);
impl_text_enum!(UserSort: Self::Username, Self::UsedTraffic, Self::DataLimit, Self::ExpireDate, Self::CreatedAt);
impl_text_enum!(ConnectionBackend: Self::Grpcio, Self::Grpclib);
impl_text_enum!(NodeStatus: Self::Healthy, Self::Unhealthy, Self::Disabled);
impl_text_enum!(RunState = Self::ALL);
impl_text_enum!(HostSecurity = Self::ALL);
impl_text_enum!(Alpn = Self::ALL);
impl_text_enum!(Fingerprint = Self::ALL);
impl_text_enum!(NoiseKind = Self::ALL);
impl_text_enum!(RuleResult = Self::ALL);
impl_text_enum!(Channel = Self::ALL);
impl_text_enum!(DeliveryState = Self::ALL);

impl<T: TextEnum> Deserr<FieldErrors> for EnumText<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let text = match value {
            Value::String(text) => text,
            other => return Err(wrong_kind(other, &[ValueKind::String], location)),
        };
        T::ALL.iter().find(|value| value.text() == text).map(|value| Self(*value)).ok_or_else(|| {
            let texts: Vec<&str> = T::ALL.iter().map(|value| value.text()).collect();
            FieldErrors::at(location, format!("must be one of: {}", texts.join(", ")))
        })
    }
}

/// The OpenAPI schema of an enum, for `#[schema(schema_with = text_schema::<…>)]`.
pub(in crate::api) fn text_schema<T: TextEnum>() -> Object {
    let texts = T::ALL.iter().map(|value| value.text());
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts)).build()
}

/// The schema of an enum or null.
pub(in crate::api) fn nullable_text_schema<T: TextEnum>() -> Object {
    let texts = T::ALL.iter().map(|value| Some(value.text())).chain([None]);
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null])).enum_values(Some(texts)).build()
}

/// The schema of an enum as a parameter. utoipa drops the doc comment of a parameter whose schema a function makes, so
/// the description is passed here.
pub(in crate::api) fn text_param<T: TextEnum>(description: &str) -> Object {
    let mut schema = text_schema::<T>();
    schema.description = Some(description.to_owned());
    schema
}

/// The schema of a list of enum values as a parameter.
pub(in crate::api) fn text_list_param<T: TextEnum>(description: &str) -> Array {
    ArrayBuilder::new().items(text_schema::<T>()).description(Some(description)).build()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn enum_text_is_case_sensitive_and_its_error_lists_all_values() {
        let read = |text: &str| deserr::deserialize::<EnumText<ResetStrategy>, _, FieldErrors>(json!(text));
        assert_eq!(read("week"), Ok(EnumText(ResetStrategy::Week)));
        let errors = read("Week").expect_err("texts are lower case");
        assert!(errors.to_map()["body"].contains("no_reset, day, week, month, year"));
    }
}
