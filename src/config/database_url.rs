//! Database addresses in SQLAlchemy's syntax.

use std::fmt;
use std::path::PathBuf;

use super::secret::Secret;
use super::{postgres_url, sqlite_url};

/// A database that Sarban can run on.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A SQLite file.
    Sqlite {
        /// Relative to the working folder unless absolute.
        path: PathBuf,
    },
    /// `postgresql://user:password@host:port/name?options`, without SQLAlchemy's driver suffix.
    Postgres {
        /// The address, which may contain a password.
        url: Secret,
    },
}

impl DatabaseUrl {
    /// Parses `sqlite:///relative`, `sqlite:////absolute` and `postgresql+driver://…`. The error continues a sentence
    /// that begins with the setting's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(
                "is not a database address; write sqlite:///db.sqlite3 or postgresql://user:password@host/name"
                    .to_owned(),
            );
        };
        match engine(scheme).as_str() {
            "sqlite" => sqlite_url::path(rest).map(|path| Self::Sqlite { path }),
            "postgres" | "postgresql" => postgres_url::normalized(rest).map(|url| Self::Postgres { url: Secret::new(url) }),
            "mysql" | "mariadb" => Err(
                "is a MySQL or MariaDB address, and Sarban needs SQLite or PostgreSQL; copy the data with `sarban import --from URL`"
                    .to_owned(),
            ),
            other => Err(format!(
                "has an unsupported engine: {other:?}; write sqlite:///db.sqlite3 or postgresql://user:password@host/name"
            )),
        }
    }
}

/// Returns the engine of `engine+driver`, in lower case.
pub(super) fn engine(scheme: &str) -> String {
    scheme.split('+').next().unwrap_or_default().to_ascii_lowercase()
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite:///{}", path.display()),
            Self::Postgres { url } => {
                // The text after the last '@' is host and name, which are no secrets.
                let server = url.expose().rsplit_once('@').map_or(url.expose(), |(_, server)| server);
                write!(f, "postgresql://{}", server.trim_start_matches("postgresql://"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlalchemy_addresses_are_parsed() {
        let sqlite = |path: &str| Ok(DatabaseUrl::Sqlite { path: PathBuf::from(path) });
        assert_eq!(DatabaseUrl::parse("sqlite:///db.sqlite3"), sqlite("db.sqlite3"));
        assert_eq!(DatabaseUrl::parse("sqlite+aiosqlite:////var/lib/x.db?timeout=5"), sqlite("/var/lib/x.db"));
        let postgres = |url: &str| Ok(DatabaseUrl::Postgres { url: Secret::new(url) });
        assert_eq!(DatabaseUrl::parse("postgresql+psycopg://u:p@h/d"), postgres("postgresql://u:p@h/d"));
        assert_eq!(DatabaseUrl::parse("postgres://h/d"), postgres("postgresql://h/d"));
        assert_eq!(DatabaseUrl::parse("PostgreSQL+AsyncPG://u:p@h/d"), postgres("postgresql://u:p@h/d"));
        assert_eq!(DatabaseUrl::parse("SQLite:///db.sqlite3"), sqlite("db.sqlite3"));
    }

    #[test]
    fn wrong_address_error_says_what_to_write() {
        for (text, hint) in [
            ("mysql+pymysql://u:p@h/d", "sarban import"),
            ("sqlite://", "three slashes"),
            ("sqlite:///", "no file name"),
            ("oracle://h", "oracle"),
            ("db.sqlite3", "sqlite:///"),
        ] {
            let error = DatabaseUrl::parse(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn debug_form_hides_the_password() {
        let url = DatabaseUrl::parse("postgresql://user:s3cret@host:5432/name").expect("a good address");
        assert_eq!(format!("{url:?}"), "postgresql://host:5432/name");
    }
}
