//! Time limits of statements on PostgreSQL, on the client's side: a server that is cut off never answers.
//!
//! A statement has the pool's limit (`OpenOptions::statement_timeout`) unless it, or its transaction, is listed here:
//! they may read or change a million rows. While the database answers nothing at all, long statements are abandoned
//! too (`PgConnections::abandon_if_silent`).

use std::time::Duration;

/// Time limits of statements outside transactions, by the beginning of the statement's name.
const STATEMENTS: &[(&str, Duration)] = &[
    ("sarban::store::access::quotas::", Duration::from_secs(30)),
    ("sarban::store::audit::", Duration::from_secs(30)),
    ("sarban::store::nodes::expected_users::", Duration::from_secs(60)),
    ("sarban::store::stats::", Duration::from_secs(30)),
    ("sarban::store::usage::series::", Duration::from_secs(20)),
    ("sarban::store::usage::", Duration::from_secs(60)),
    ("sarban::store::users::list::", Duration::from_secs(30)),
    ("sarban::store::users::online::", Duration::from_secs(30)),
    ("sarban::store::users::owner_totals::", Duration::from_secs(30)),
];

/// Time limits of each statement in a transaction of [`Db::transaction`](super::Db::transaction), by the transaction's
/// name. Fenced transactions have the limit of their fence.
const TRANSACTIONS: &[(&str, Duration)] = &[
    ("adopt users", Duration::from_secs(120)),
    ("change users of admin", Duration::from_secs(120)),
    ("create service", Duration::from_secs(120)),
    ("delete admin", Duration::from_secs(120)),
    ("delete service", Duration::from_secs(120)),
    ("orphan users of admin", Duration::from_secs(120)),
    ("update service", Duration::from_secs(120)),
];

/// Time limit of a statement of migrations, imports and exports, whose only transaction takes minutes.
pub(in crate::store) const BULK: Duration = Duration::from_secs(4 * 3_600);

/// Margin over a limit of the server, whose own error is the better one.
pub(in crate::store) const MARGIN: Duration = Duration::from_secs(1);

/// Returns the time limit of a statement outside a transaction, if it has one of its own.
pub(super) fn of_statement(name: &str) -> Option<Duration> {
    STATEMENTS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, limit)| *limit)
}

/// Returns the time limit of the statements in a transaction, if it has one of its own.
pub(super) fn of_transaction(name: &str) -> Option<Duration> {
    TRANSACTIONS.iter().find(|(listed, _)| *listed == name).map(|(_, limit)| *limit)
}

#[cfg(test)]
mod tests {
    use std::fs::{read_dir, read_to_string};
    use std::path::PathBuf;

    use super::*;
    use crate::store::all_statements;

    #[test]
    fn listed_statements_exist() {
        for (prefix, limit) in STATEMENTS {
            let statement = all_statements().find(|statement| statement.name.starts_with(prefix));
            let statement = statement.unwrap_or_else(|| panic!("no statement begins with {prefix}"));
            assert_eq!(of_statement(statement.name), Some(*limit));
        }
        assert_eq!(of_statement("sarban::store::engine::clock::NOW"), None);
    }

    #[test]
    fn listed_transactions_exist() {
        let mut sources = String::new();
        let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && !path.ends_with("time_limits.rs")
                {
                    sources += &read_to_string(path).expect("a source file");
                }
            }
        }
        for (name, _) in TRANSACTIONS {
            assert!(sources.contains(&format!("transaction(\"{name}\"")), "no transaction is called {name}");
        }
    }
}
