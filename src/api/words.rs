//! Which domain types the API writes as one word of a list.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::coerce::{Word, Words, impl_words};
use crate::domain::host::{Alpn, Fingerprint, HostSecurity, NoiseKind};
use crate::domain::node::{ConnectionBackend, NodeStatus};
use crate::domain::user::ResetStrategy;

impl_words!(ResetStrategy: Self::NoReset, Self::Day, Self::Week, Self::Month, Self::Year);
impl_words!(ConnectionBackend: Self::Grpcio, Self::Grpclib);
impl_words!(NodeStatus: Self::Healthy, Self::Unhealthy, Self::Disabled);
impl_words!(HostSecurity = Self::ALL);
impl_words!(Alpn = Self::ALL);
impl_words!(Fingerprint = Self::ALL);
impl_words!(NoiseKind = Self::ALL);

/// In the OpenAPI document a word is a text out of a list, written where it stands: mark such fields `inline`.
impl<T: Words> PartialSchema for Word<T> {
    fn schema() -> RefOr<Schema> {
        let words = T::ALL.iter().map(|value| value.word());
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
    }
}

impl<T: Words> ToSchema for Word<T> {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::fields::FieldErrors;

    #[test]
    fn a_word_is_read_exactly_and_an_error_names_all() {
        let read = |word: &str| deserr::deserialize::<Word<ResetStrategy>, _, FieldErrors>(json!(word));
        assert_eq!(read("week"), Ok(Word(ResetStrategy::Week)));
        let errors = read("Week").expect_err("words are lower case");
        assert!(errors.as_map()["body"].contains("no_reset, day, week, month, year"));
    }
}
