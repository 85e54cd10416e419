//! Which domain types the API writes as one word of a list.

use super::coerce::impl_words;
use crate::domain::node::{ConnectionBackend, NodeStatus};
use crate::domain::user::ResetStrategy;
use crate::domain::user_edit::ExpireStrategy;
use crate::store::user_lists::UserSort;

impl_words!(ResetStrategy: Self::NoReset, Self::Day, Self::Week, Self::Month, Self::Year);
impl_words!(ExpireStrategy: Self::Never, Self::FixedDate, Self::StartOnFirstUse);
impl_words!(UserSort: Self::Username, Self::UsedTraffic, Self::DataLimit, Self::ExpireDate, Self::CreatedAt);
impl_words!(ConnectionBackend: Self::Grpcio, Self::Grpclib);
impl_words!(NodeStatus: Self::Healthy, Self::Unhealthy, Self::Disabled);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::coerce::Word;
    use crate::api::fields::FieldErrors;

    #[test]
    fn a_word_is_read_exactly_and_an_error_names_all() {
        let read = |word: &str| deserr::deserialize::<Word<ResetStrategy>, _, FieldErrors>(json!(word));
        assert_eq!(read("week"), Ok(Word(ResetStrategy::Week)));
        let errors = read("Week").expect_err("words are lower case");
        assert!(errors.as_map()["body"].contains("no_reset, day, week, month, year"));
    }
}
