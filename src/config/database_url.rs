//! Database addresses in SQLAlchemy's form, as operators have them in their environment.

use std::fmt;
use std::path::PathBuf;

use super::secret::Secret;

/// A database that Sarban can run on.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file, relative to the working folder unless absolute.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// `postgresql://user:password@host:port/name?options`, without SQLAlchemy's driver suffix.
    Postgres {
        /// The address; it may hold a password.
        url: Secret,
    },
}

impl DatabaseUrl {
    /// Reads `sqlite:///relative`, `sqlite:////absolute` and `postgresql+driver://…`. The error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(
                "is not a database address; write sqlite:///db.sqlite3 or postgresql://user:password@host/name"
                    .to_owned(),
            );
        };
        match scheme.split('+').next().unwrap_or_default() {
            "sqlite" => {
                let path = rest.split('?').next().unwrap_or_default();
                match path.strip_prefix('/') {
                    Some(path) if !path.is_empty() && path != ":memory:" => Ok(Self::Sqlite { path: PathBuf::from(path) }),
                    Some(_) => Err("names no file; write sqlite:///db.sqlite3 (a database in memory would be lost)".to_owned()),
                    None => Err("needs three slashes: sqlite:///db.sqlite3, or four for an absolute path".to_owned()),
                }
            }
            "postgres" | "postgresql" => Ok(Self::Postgres { url: Secret::new(format!("postgresql://{rest}")) }),
            "mysql" | "mariadb" => Err(
                "is a MySQL or MariaDB address, and Sarban runs on SQLite and PostgreSQL: move the data with `sarban import --from URL`"
                    .to_owned(),
            ),
            other => Err(format!("names the engine {other:?}; write sqlite:///db.sqlite3 or postgresql://user:password@host/name")),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite:///{}", path.display()),
            Self::Postgres { url } => {
                // Everything after the last '@' is host and name: neither holds a secret.
                let place = url.expose().rsplit_once('@').map_or(url.expose(), |(_, place)| place);
                write!(f, "postgresql://{}", place.trim_start_matches("postgresql://"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_sqlalchemy_reads() {
        let sqlite = |path: &str| Ok(DatabaseUrl::Sqlite { path: PathBuf::from(path) });
        assert_eq!(DatabaseUrl::parse("sqlite:///db.sqlite3"), sqlite("db.sqlite3"));
        assert_eq!(DatabaseUrl::parse("sqlite+aiosqlite:////var/lib/x.db?timeout=5"), sqlite("/var/lib/x.db"));
        let postgres = |url: &str| Ok(DatabaseUrl::Postgres { url: Secret::new(url) });
        assert_eq!(DatabaseUrl::parse("postgresql+psycopg://u:p@h/d"), postgres("postgresql://u:p@h/d"));
        assert_eq!(DatabaseUrl::parse("postgres://h/d"), postgres("postgresql://h/d"));
    }

    #[test]
    fn says_what_would_be_right() {
        for (text, hint) in [
            ("mysql+pymysql://u:p@h/d", "sarban import"),
            ("sqlite://", "three slashes"),
            ("sqlite:///", "names no file"),
            ("oracle://h", "oracle"),
            ("db.sqlite3", "sqlite:///"),
        ] {
            let error = DatabaseUrl::parse(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn never_prints_a_password() {
        let url = DatabaseUrl::parse("postgresql://user:s3cret@host:5432/name").expect("a good address");
        assert_eq!(format!("{url:?}"), "postgresql://host:5432/name");
    }
}
