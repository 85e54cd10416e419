//! A list of ids as one bind or one column: an array on PostgreSQL (`UNNEST($1)`, `ARRAY(SELECT …)`), a JSON text on
//! SQLite (`json_each($1)`, `json_group_array(…)`).

use serde::{Deserialize, Deserializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Postgres, Sqlite, Type};

/// Ids in ascending order without duplicates; ascending is also the order in which rows are locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdList(Vec<i64>);

impl IdList {
    /// Sorts the ids and removes duplicates.
    pub fn new(ids: impl IntoIterator<Item = i64>) -> Self {
        let mut ids: Vec<i64> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self(ids)
    }

    /// Returns the ids in ascending order.
    pub fn as_slice(&self) -> &[i64] {
        &self.0
    }

    /// Removes the ids of another list.
    #[must_use]
    pub fn without(self, other: &Self) -> Self {
        if other.is_empty() {
            return self;
        }
        let mut others = other.0.iter().copied().peekable();
        let mut kept = self.0;
        kept.retain(|id| {
            while others.next_if(|other| other < id).is_some() {}
            others.peek() != Some(id)
        });
        Self(kept)
    }

    /// True if the list has no ids.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for IdList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<i64>::deserialize(deserializer).map(Self::new)
    }
}

impl Type<Postgres> for IdList {
    fn type_info() -> PgTypeInfo {
        <Vec<i64> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for IdList {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <Vec<i64> as Encode<'_, Postgres>>::encode_by_ref(&self.0, buffer)
    }
}

impl Type<Sqlite> for IdList {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for IdList {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        let text = serde_json::to_string(&self.0)?;
        <String as Encode<'_, Sqlite>>::encode(text, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for IdList {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <Vec<i64> as Decode<'r, Postgres>>::decode(value).map(Self::new)
    }
}

impl<'r> Decode<'r, Sqlite> for IdList {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let ids: Vec<i64> = serde_json::from_str(<&str as Decode<'r, Sqlite>>::decode(value)?)?;
        Ok(Self::new(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sorted_and_single() {
        assert_eq!(IdList::new([3, 1, 3]).as_slice(), [1, 3]);
        assert!(IdList::new([]).is_empty());
    }

    #[test]
    fn a_list_without_another_keeps_the_rest() {
        let rest = |ids: &[i64], others: &[i64]| {
            IdList::new(ids.iter().copied()).without(&IdList::new(others.iter().copied())).as_slice().to_vec()
        };
        assert_eq!(rest(&[1, 3, 5, 7], &[0, 3, 4, 7, 9]), [1, 5]);
        assert_eq!(rest(&[1, 3], &[]), [1, 3]);
        assert_eq!(rest(&[1, 3], &[1, 3]), Vec::<i64>::new());
        assert_eq!(rest(&[], &[1]), Vec::<i64>::new());
    }
}
