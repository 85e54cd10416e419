//! Where the database of the old panel is, for `sarban import`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::database_url::DatabaseUrl;
use super::secret::Secret;

/// A database that the old panel ran on: any that this one runs on, and MySQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldDatabaseUrl {
    /// SQLite or PostgreSQL.
    Panel(DatabaseUrl),
    /// MySQL or MariaDB.
    MySql(MySqlUrl),
}

/// `mysql://user:password@host:port/name?options`, without SQLAlchemy's driver suffix. It may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlUrl(Secret);

/// What the environment says about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportSettings {
    /// The address, for those who must not give it as an argument: it may hold a password.
    #[serde(rename = "sarban_import_from", default, deserialize_with = "some_address")]
    pub from: Option<OldDatabaseUrl>,
}

impl OldDatabaseUrl {
    /// Reads SQLAlchemy's addresses. The error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        match scheme.split('+').next().unwrap_or_default() {
            "mysql" | "mariadb" => Ok(Self::MySql(MySqlUrl(Secret::new(format!("mysql://{rest}"))))),
            _ => DatabaseUrl::parse(text).map(Self::Panel),
        }
    }

    /// True when the address holds a password.
    pub fn has_password(&self) -> bool {
        let url = match self {
            Self::Panel(DatabaseUrl::Sqlite { .. }) => return false,
            Self::Panel(DatabaseUrl::Postgres { url }) | Self::MySql(MySqlUrl(url)) => url.expose(),
        };
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
        login.contains(':') || url.contains("password=")
    }
}

impl MySqlUrl {
    /// The address itself: for the place where it is used, never for a message.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for MySqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything after the last '@' is host and name: neither holds a secret.
        let place = self.expose().rsplit_once('@').map_or(self.expose(), |(_, place)| place);
        write!(f, "mysql://{}", place.trim_start_matches("mysql://"))
    }
}

fn some_address<'de, D: Deserializer<'de>>(value: D) -> Result<Option<OldDatabaseUrl>, D::Error> {
    OldDatabaseUrl::parse(String::deserialize(value)?.trim()).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_is_read_too_and_its_password_never_printed() {
        let url = OldDatabaseUrl::parse("mysql+pymysql://root:s3cret@db:3306/panel").expect("an address");
        assert!(matches!(&url, OldDatabaseUrl::MySql(url) if url.expose() == "mysql://root:s3cret@db:3306/panel"));
        assert_eq!(format!("{url:?}"), "MySql(mysql://db:3306/panel)");
        assert!(matches!(OldDatabaseUrl::parse("sqlite:///a"), Ok(OldDatabaseUrl::Panel(_))));
        assert!(OldDatabaseUrl::parse("a.sqlite3").is_err());
    }

    #[test]
    fn a_password_is_noticed() {
        let has = |text| OldDatabaseUrl::parse(text).expect("an address").has_password();
        assert!(has("mysql://u:p@h/d") && has("postgresql://u:p@h/d") && has("postgresql:///d?host=/run&password=p"));
        assert!(!has("mysql://u@h:3306/d") && !has("postgresql://h:5432/d") && !has("sqlite:///a:b@c"));
    }
}
