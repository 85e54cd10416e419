//! Which domain types the API writes as one word of a list.

use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

use super::loose::{Words, impl_words};
use crate::domain::host::{Alpn, Fingerprint, HostSecurity, NoiseKind};
use crate::domain::node::{ConnectionBackend, NodeStatus};
use crate::domain::notification::{Channel, DeliveryState};
use crate::domain::subscription_settings::RuleResult;
use crate::domain::user::ExpireStrategy;
use crate::domain::user::ResetStrategy;
use crate::store::cluster::runs::RunState;
use crate::store::users::list::UserSort;

impl_words!(ResetStrategy: Self::NoReset, Self::Day, Self::Week, Self::Month, Self::Year);
impl_words!(ExpireStrategy: Self::Never, Self::FixedDate, Self::StartOnFirstUse);
impl_words!(UserSort: Self::Username, Self::UsedTraffic, Self::DataLimit, Self::ExpireDate, Self::CreatedAt);
impl_words!(ConnectionBackend: Self::Grpcio, Self::Grpclib);
impl_words!(NodeStatus: Self::Healthy, Self::Unhealthy, Self::Disabled);
impl_words!(RunState = Self::ALL);
impl_words!(HostSecurity = Self::ALL);
impl_words!(Alpn = Self::ALL);
impl_words!(Fingerprint = Self::ALL);
impl_words!(NoiseKind = Self::ALL);
impl_words!(RuleResult = Self::ALL);
impl_words!(Channel = Self::ALL);
impl_words!(DeliveryState = Self::ALL);

/// A word in the OpenAPI document, for `#[schema(schema_with = word::<…>)]`: a text out of a list.
pub(in crate::api) fn word<T: Words>() -> Object {
    let words = T::ALL.iter().map(|value| value.word());
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// The same where null is allowed, too.
pub(in crate::api) fn word_or_null<T: Words>() -> Object {
    let words = T::ALL.iter().map(|value| Some(value.word())).chain([None]);
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null])).enum_values(Some(words)).build()
}

/// The same as a parameter. (utoipa leaves out the doc comment of a parameter whose schema is made by a function.)
pub(in crate::api) fn word_for<T: Words>(description: &str) -> Object {
    let mut word = word::<T>();
    word.description = Some(description.to_owned());
    word
}

/// A list of such words as a parameter.
pub(in crate::api) fn words_for<T: Words>(description: &str) -> Array {
    ArrayBuilder::new().items(word::<T>()).description(Some(description)).build()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::http::field_errors::FieldErrors;
    use crate::api::http::loose::Word;

    #[test]
    fn a_word_is_read_exactly_and_an_error_names_all() {
        let read = |word: &str| deserr::deserialize::<Word<ResetStrategy>, _, FieldErrors>(json!(word));
        assert_eq!(read("week"), Ok(Word(ResetStrategy::Week)));
        let errors = read("Week").expect_err("words are lower case");
        assert!(errors.as_map()["body"].contains("no_reset, day, week, month, year"));
    }
}
