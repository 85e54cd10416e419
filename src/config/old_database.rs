//! Address of a Marzneshin database, for `sarban import`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::database_url::{DatabaseUrl, engine};
use super::mysql_url;
use super::secret::Secret;

/// A database that Marzneshin runs on: SQLite, PostgreSQL or MySQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldDatabaseUrl {
    /// SQLite or PostgreSQL, which Sarban runs on too.
    Panel(DatabaseUrl),
    /// MySQL or MariaDB.
    MySql(MySqlUrl),
}

/// `mysql://user:password@host:port/name?options`, without SQLAlchemy's driver suffix; may contain a password.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlUrl(Secret);

/// Settings for `sarban import`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportSettings {
    /// Address of the database, in place of `--from`, because other users can read the arguments of a process.
    #[serde(rename = "sarban_import_from", default, deserialize_with = "some_address")]
    pub from: Option<OldDatabaseUrl>,
}

impl OldDatabaseUrl {
    /// Parses an address in SQLAlchemy's syntax. The error continues a sentence that begins with the setting's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        match engine(scheme).as_str() {
            "mysql" | "mariadb" => mysql_url::normalized(rest).map(|url| Self::MySql(MySqlUrl(Secret::new(url)))),
            _ => DatabaseUrl::parse(text).map(Self::Panel),
        }
    }

    /// Returns true when the address contains a password.
    pub fn has_password(&self) -> bool {
        let url = match self {
            Self::Panel(DatabaseUrl::Sqlite { .. }) => return false,
            Self::Panel(DatabaseUrl::Postgres { url }) | Self::MySql(MySqlUrl(url)) => url.expose(),
        };
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
        login.contains(':')
    }
}

impl MySqlUrl {
    /// Returns true when the address says how to use TLS.
    pub fn has_tls_mode(&self) -> bool {
        self.expose().contains("ssl-mode=")
    }

    /// Returns the address with its password; never put it into a message.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for MySqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text after the last '@' is host and name, which are no secrets.
        let server = self.expose().rsplit_once('@').map_or(self.expose(), |(_, server)| server);
        write!(f, "mysql://{}", server.trim_start_matches("mysql://"))
    }
}

fn some_address<'de, D: Deserializer<'de>>(value: D) -> Result<Option<OldDatabaseUrl>, D::Error> {
    OldDatabaseUrl::parse(String::deserialize(value)?.trim()).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_address_is_parsed_and_its_password_hidden() {
        let url = OldDatabaseUrl::parse("mysql+pymysql://root:s3cret@db:3306/panel").expect("an address");
        assert!(matches!(&url, OldDatabaseUrl::MySql(url) if url.expose() == "mysql://root:s3cret@db:3306/panel"));
        assert_eq!(format!("{url:?}"), "MySql(mysql://db:3306/panel)");
        assert!(matches!(OldDatabaseUrl::parse("sqlite:///a"), Ok(OldDatabaseUrl::Panel(_))));
        assert!(OldDatabaseUrl::parse("a.sqlite3").is_err());
    }

    #[test]
    fn password_in_an_address_is_detected() {
        let has = |text| OldDatabaseUrl::parse(text).expect("an address").has_password();
        assert!(has("mysql://u:p@h/d") && has("postgresql://u:p@h/d") && has("postgresql:///d?host=/run&password=p"));
        assert!(!has("mysql://u@h:3306/d") && !has("postgresql://h:5432/d") && !has("sqlite:///a:b@c"));
    }
}
