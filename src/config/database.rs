//! Settings of the database.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::database_url::DatabaseUrl;
use super::values::whole;
use super::wrong::SettingError;

/// Where the database is, and how many connections it gets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DatabaseSettings {
    /// The database.
    #[serde(rename = "sqlalchemy_database_url", deserialize_with = "address")]
    pub url: DatabaseUrl,
    /// The same past pgbouncer, for migrations and the lease.
    #[serde(rename = "database_direct_url", default, deserialize_with = "some_address")]
    direct: Option<DatabaseUrl>,
    /// Connections that the pool keeps.
    #[serde(rename = "sqlalchemy_connection_pool_size", deserialize_with = "whole::<_, _, 1, 10_000>")]
    pool_size: u32,
    /// Connections beyond it; below zero: none.
    #[serde(rename = "sqlalchemy_connection_max_overflow", deserialize_with = "whole::<_, _, -1, 10_000>")]
    overflow: i32,
    /// Prepared statements per connection; 0 behind pgbouncer.
    #[serde(rename = "database_statement_cache", deserialize_with = "whole::<_, _, 0, 10_000>")]
    pub statement_cache: usize,
}

impl DatabaseSettings {
    /// At most this many connections for the whole process, shared by its threads.
    pub fn connections(&self) -> u32 {
        self.pool_size + u32::try_from(self.overflow).unwrap_or(0)
    }

    /// Those of them that are opened on so many cores. SQLite reads on a thread for each, with pages and statements of
    /// its own: beyond two a core there is more memory and no more speed. (Three at least: one that takes long should
    /// not leave the others with one.)
    pub fn opened(&self, cores: usize) -> u32 {
        match self.url {
            DatabaseUrl::Postgres { .. } => self.connections(),
            DatabaseUrl::Sqlite { .. } => self.connections().min(u32::try_from(2 * cores).unwrap_or(u32::MAX).max(3)),
        }
    }

    /// The address for migrations and the lease, which must not pass a pooler.
    pub fn direct_url(&self) -> &DatabaseUrl {
        self.direct.as_ref().unwrap_or(&self.url)
    }

    /// Prepared statements per connection to [`DatabaseSettings::direct_url`]: past a pooler they may have names.
    pub fn direct_statement_cache(&self) -> usize {
        if self.direct.is_some() { self.statement_cache.max(100) } else { self.statement_cache }
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        match (&self.url, &self.direct) {
            (DatabaseUrl::Postgres { .. }, Some(DatabaseUrl::Sqlite { .. }))
            | (DatabaseUrl::Sqlite { .. }, Some(_)) => {
                let sentence = "DATABASE_DIRECT_URL must name the PostgreSQL database of SQLALCHEMY_DATABASE_URL, past \
                                pgbouncer; without pgbouncer leave it out";
                Err(SettingError::new(sentence))
            }
            (_, None) | (DatabaseUrl::Postgres { .. }, Some(DatabaseUrl::Postgres { .. })) => Ok(()),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(value: D) -> Result<DatabaseUrl, D::Error> {
    let url = DatabaseUrl::parse(String::deserialize(value)?.trim()).map_err(D::Error::custom)?;
    match &url {
        // The value is a secret: what is wrong with it is not shown.
        DatabaseUrl::Postgres { url } if !is_postgres(url.expose()) => Err(D::Error::custom(
            "can't be read as a PostgreSQL address; write postgresql://user:password@host:5432/name, with % codes for \
             special characters in the password (%40 for @, %2F for /)",
        )),
        _ => Ok(url),
    }
}

fn some_address<'de, D: Deserializer<'de>>(value: D) -> Result<Option<DatabaseUrl>, D::Error> {
    address(value).map(Some)
}

/// Whether user, host and port can be told apart. The host may be missing: `postgresql:///name?host=/run/postgresql`.
fn is_postgres(url: &str) -> bool {
    let rest = url.trim_start_matches("postgresql://");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let port = match place.rsplit_once(':') {
        Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => port,
        _ => "",
    };
    let readable = |c: char| !c.is_whitespace() && !c.is_control();
    url.chars().all(readable) && !login.contains('@') && (port.is_empty() || port.parse::<u16>().is_ok_and(|it| it > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postgres_address_must_be_clear() {
        for right in
            ["u:p@h:5432/d", "h/d", "u@[::1]/d", "u:p%40@[::1]:5432/d?sslmode=require", "/d?host=/run/postgresql"]
        {
            assert!(is_postgres(&format!("postgresql://{right}")), "{right}");
        }
        for wrong in ["u:p@h:port/d", "u:p/w@h/d", "u:p@w@h/d", "h:0/d", "u:p w@h/d", "h:70000"] {
            assert!(!is_postgres(&format!("postgresql://{wrong}")), "{wrong}");
        }
    }
}
