//! Columns that hold the text of an enum, read and written as the domain's types.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::types::Json;
use sqlx::{Database, Decode, Encode, Type};

use crate::domain::host::HostSpec;
use crate::domain::node::{ConnectionBackend, NodeStatus};

macro_rules! words {
    ($($type:ty),* $(,)?) => {$(
        impl<DB: Database> Type<DB> for $type
        where
            str: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <str as Type<DB>>::type_info()
            }

            fn compatible(actual: &DB::TypeInfo) -> bool {
                <str as Type<DB>>::compatible(actual)
            }
        }

        impl<'r, DB: Database> Decode<'r, DB> for $type
        where
            &'r str: Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                let word = <&str as Decode<'r, DB>>::decode(value)?;
                Self::from_word(word).ok_or_else(|| format!("unexpected value in this column: {word:?}").into())
            }
        }

        impl<'q, DB: Database> Encode<'q, DB> for $type
        where
            &'static str: Encode<'q, DB>,
        {
            fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                self.word().encode_by_ref(buffer)
            }
        }
    )*};
}

words!(ConnectionBackend, NodeStatus);

/// A host's specification, stored as JSON.
impl<DB: Database> Type<DB> for HostSpec
where
    Json<Self>: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        <Json<Self> as Type<DB>>::type_info()
    }

    fn compatible(actual: &DB::TypeInfo) -> bool {
        <Json<Self> as Type<DB>>::compatible(actual)
    }
}

impl<'r, DB: Database> Decode<'r, DB> for HostSpec
where
    Json<Self>: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        <Json<Self> as Decode<'r, DB>>::decode(value).map(|Json(spec)| spec)
    }
}
