//! A bind whose type differs between the engines, for statements whose texts must differ.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo};
use sqlx::{Encode, Postgres, Sqlite, Type};

/// A bind for one of the engines.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum ByEngine<P, L> {
    Pg(P),
    Lite(L),
}

impl<P: Type<Postgres>, L> Type<Postgres> for ByEngine<P, L> {
    fn type_info() -> PgTypeInfo {
        P::type_info()
    }
}

impl<'q, P: Encode<'q, Postgres>, L> Encode<'q, Postgres> for ByEngine<P, L> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self {
            Self::Pg(value) => value.encode_by_ref(buffer),
            Self::Lite(_) => Err("a bind for SQLite was given to PostgreSQL".into()),
        }
    }
}

impl<P, L: Type<Sqlite>> Type<Sqlite> for ByEngine<P, L> {
    fn type_info() -> SqliteTypeInfo {
        L::type_info()
    }
}

impl<'q, P, L: Encode<'q, Sqlite>> Encode<'q, Sqlite> for ByEngine<P, L> {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        match self {
            Self::Lite(value) => value.encode_by_ref(buffer),
            Self::Pg(_) => Err("a bind for PostgreSQL was given to SQLite".into()),
        }
    }
}
