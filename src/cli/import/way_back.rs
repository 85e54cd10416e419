//! How to go back to the old panel after an import.

use std::env;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::database_url::DatabaseUrl;
use crate::config::old_database::OldDatabaseUrl;

/// Name of the file that the command writes.
const FILE: &str = "back.sqlite3";

/// Instructions for going back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct WayBack {
    /// Instructions if the changes since the import may be lost.
    pub without_changes: &'static str,
    /// Instructions for taking them along.
    pub with_changes: String,
    /// The command for that, to be run with this panel's settings.
    pub command: String,
}

impl WayBack {
    /// The file is put beside the old database if that is a file too, where the old panel can open it.
    pub(super) fn from(old: &OldDatabaseUrl) -> Self {
        let beside = match old {
            OldDatabaseUrl::Panel(DatabaseUrl::Sqlite { path }) => path.parent().map(Path::to_owned),
            _ => None,
        };
        let folder = beside.unwrap_or_default();
        // Without a working folder the path stays relative.
        let folder = if folder.is_absolute() { folder } else { env::current_dir().unwrap_or_default().join(folder) };
        let file = folder.components().collect::<PathBuf>().join(FILE);
        let url = format!("sqlite:///{}", file.display());
        let command = format!("sarban export --to {}", quoted(&url));
        Self {
            without_changes: "stop this panel and start the old one; nothing has changed its database",
            with_changes: format!(
                "stop this panel, run this command with its settings, set SQLALCHEMY_DATABASE_URL of the old panel to {url} \
                 and start that"
            ),
            command,
        }
    }
}

/// Quotes an argument for a shell, if that is needed.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/:._-+".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_beside_the_old_database_or_in_the_working_folder() {
        let command = |url| WayBack::from(&OldDatabaseUrl::parse(url).expect("an address")).command;
        assert_eq!(
            command("sqlite:////var/lib/old/db.sqlite3"),
            "sarban export --to sqlite:////var/lib/old/back.sqlite3"
        );
        assert_eq!(command("sqlite:////a b/it's"), r"sarban export --to 'sqlite:////a b/back.sqlite3'");
        let here = env::current_dir().expect("a folder");
        let expected = quoted(&format!("sqlite:///{}", here.join("back.sqlite3").display()));
        for url in ["mysql://u:secret@h/d", "sqlite:///db.sqlite3", "sqlite:///./db.sqlite3"] {
            assert_eq!(command(url), format!("sarban export --to {expected}"));
        }
    }
}
