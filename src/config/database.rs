//! Settings for the database.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::database_url::DatabaseUrl;
use super::errors::SettingError;
use super::values::whole;

/// Address of the database, and limits of its connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DatabaseSettings {
    /// Address of the database.
    #[serde(rename = "sqlalchemy_database_url", deserialize_with = "address")]
    pub url: DatabaseUrl,
    /// Address of PostgreSQL itself when `url` is pgbouncer's; for migrations and the lease.
    #[serde(rename = "database_direct_url", default, deserialize_with = "some_address")]
    direct: Option<DatabaseUrl>,
    /// Connections of the pool.
    #[serde(rename = "sqlalchemy_connection_pool_size", deserialize_with = "whole::<_, _, 1, 10_000>")]
    pool_size: u32,
    /// Connections beyond the pool size; negative: none.
    #[serde(rename = "sqlalchemy_connection_max_overflow", deserialize_with = "whole::<_, _, -1, 10_000>")]
    overflow: i32,
    /// Prepared statements per connection; 0 behind pgbouncer.
    #[serde(rename = "database_statement_cache", deserialize_with = "whole::<_, _, 0, 10_000>")]
    pub statement_cache: usize,
}

impl DatabaseSettings {
    /// Returns the configured maximum of connections of this process, shared by its threads.
    pub fn max_connections(&self) -> u32 {
        self.pool_size + u32::try_from(self.overflow).unwrap_or(0)
    }

    /// Returns the number of connections that are opened on a machine with `cores` cores. SQLite is capped at two per
    /// core: each reader has its own thread, pages and statements, so that more readers need more memory and are not
    /// faster. The cap is at least three: a slow reader then leaves two for the others.
    pub fn open_connections(&self, cores: usize) -> u32 {
        let max = self.max_connections();
        match self.url {
            DatabaseUrl::Postgres { .. } => max,
            DatabaseUrl::Sqlite { .. } => max.min(u32::try_from(2 * cores).unwrap_or(u32::MAX).max(3)),
        }
    }

    /// Returns the address for migrations and the lease, which must not go through pgbouncer.
    pub fn direct_url(&self) -> &DatabaseUrl {
        self.direct.as_ref().unwrap_or(&self.url)
    }

    /// Returns the name of the setting with this address.
    pub fn setting_of(&self, url: &DatabaseUrl) -> &'static str {
        if *url == self.url { "SQLALCHEMY_DATABASE_URL" } else { "DATABASE_DIRECT_URL" }
    }

    /// Returns the prepared statements per connection to [`DatabaseSettings::direct_url`]. A setting of 0 is for
    /// pgbouncer only.
    pub fn direct_statement_cache(&self) -> usize {
        if self.direct.is_some() { self.statement_cache.max(100) } else { self.statement_cache }
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        match (&self.url, &self.direct) {
            (DatabaseUrl::Postgres { .. }, Some(DatabaseUrl::Sqlite { .. }))
            | (DatabaseUrl::Sqlite { .. }, Some(_)) => {
                let message = "DATABASE_DIRECT_URL must be the direct address of the PostgreSQL database whose \
                               pgbouncer SQLALCHEMY_DATABASE_URL names; without pgbouncer leave it unset";
                Err(SettingError::new(message))
            }
            (_, None) | (DatabaseUrl::Postgres { .. }, Some(DatabaseUrl::Postgres { .. })) => Ok(()),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(value: D) -> Result<DatabaseUrl, D::Error> {
    DatabaseUrl::parse(String::deserialize(value)?.trim()).map_err(D::Error::custom)
}

fn some_address<'de, D: Deserializer<'de>>(value: D) -> Result<Option<DatabaseUrl>, D::Error> {
    address(value).map(Some)
}
