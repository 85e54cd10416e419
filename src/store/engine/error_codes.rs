//! Error codes of both engines, one table each, with the kind of each code.

use super::condition::Condition;
use super::sqlite_file::FileReplaced;

/// Kinds of errors that are no violated constraints, by what a caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The transaction was rolled back because of another one and can be repeated.
    Conflict,
    /// The value was refused.
    Data,
    /// Nobody's fault: answer 503 until it has passed.
    Unavailable(Condition),
    /// A bug of this program.
    Bug,
}

use Class::{Bug, Conflict, Data, Unavailable};
use Condition::{
    AccessRefused, Damaged, DiskFull, IoError, Missing, OutOfConnections, OutOfResources, ReadOnly, Replaced,
    ShuttingDown, TimedOut, Unreachable,
};

/// SQLSTATEs and their beginnings; the longest that matches counts. What is not listed is a bug.
const POSTGRES: &[(&str, Class)] = &[
    // Connection exceptions. pgbouncer reports all of its own errors as 08P01.
    ("08", Unavailable(Unreachable)),
    // The result of a prepared statement changed with a migration of a newer program; the connection is discarded.
    ("0A000", Unavailable(Unreachable)),
    // Data exceptions.
    ("22", Data),
    // Integrity. Unique and foreign keys are recognised before.
    ("23", Data),
    ("25006", Unavailable(ReadOnly)),
    // A transaction or a session that was idle too long for the server.
    ("25P03", Unavailable(TimedOut)),
    ("25P04", Unavailable(TimedOut)),
    // A prepared statement that the server does not know: a pooler gave the connection to somebody else.
    ("26", Unavailable(Unreachable)),
    ("28", Unavailable(AccessRefused)),
    ("3D000", Unavailable(Missing)),
    ("3F000", Unavailable(Missing)),
    ("40", Conflict),
    // The outcome is not known.
    ("40003", Unavailable(Unreachable)),
    ("42501", Unavailable(AccessRefused)),
    // A table is missing only while somebody restores the database.
    ("42P01", Unavailable(Missing)),
    ("42P05", Unavailable(Unreachable)),
    ("53", Unavailable(OutOfResources)),
    ("53100", Unavailable(DiskFull)),
    ("53300", Unavailable(OutOfConnections)),
    ("55000", Unavailable(ShuttingDown)),
    // Lock not available.
    ("55P03", Conflict),
    ("57", Unavailable(ShuttingDown)),
    // Query cancelled: `statement_timeout`, or an operator.
    ("57014", Unavailable(TimedOut)),
    // The database was dropped, or the session was idle too long.
    ("57P04", Unavailable(Missing)),
    ("57P05", Unavailable(TimedOut)),
    ("58", Unavailable(IoError)),
    ("F0", Unavailable(IoError)),
    ("XX001", Unavailable(Damaged)),
    ("XX002", Unavailable(Damaged)),
];

/// SQLite's result codes: an extended code where it is listed, otherwise the primary one, its low byte. What is not
/// listed is a bug.
const SQLITE: &[(i32, Class)] = &[
    // PERM
    (3, Unavailable(AccessRefused)),
    // BUSY, LOCKED
    (5, Conflict),
    (6, Conflict),
    // NOMEM
    (7, Unavailable(OutOfResources)),
    // READONLY, and READONLY_DBMOVED
    (8, Unavailable(ReadOnly)),
    (1032, Unavailable(Replaced)),
    // INTERRUPT
    (9, Unavailable(TimedOut)),
    // IOERR, and IOERR_NOMEM
    (10, Unavailable(IoError)),
    (3082, Unavailable(OutOfResources)),
    // CORRUPT
    (11, Unavailable(Damaged)),
    // FULL
    (13, Unavailable(DiskFull)),
    // CANTOPEN
    (14, Unavailable(Missing)),
    // PROTOCOL: a race for the locks of the WAL. SCHEMA: it changed during the statement.
    (15, Conflict),
    (17, Conflict),
    // TOOBIG, CONSTRAINT, MISMATCH
    (18, Data),
    (19, Data),
    (20, Data),
    // NOLFS: the file system can't hold a file that large.
    (22, Unavailable(DiskFull)),
    // NOTADB
    (26, Unavailable(Damaged)),
];

/// Classifies PostgreSQL's SQLSTATE.
pub(super) fn postgres(state: &str) -> Class {
    let matches = POSTGRES.iter().filter(|(prefix, _)| state.starts_with(prefix));
    matches.max_by_key(|(prefix, _)| prefix.len()).map_or(Bug, |(_, class)| *class)
}

/// Classifies SQLite's result code, an extended one.
pub(super) fn sqlite(code: i32) -> Class {
    let find = |code| SQLITE.iter().find(|(listed, _)| *listed == code).map(|(_, class)| *class);
    find(code).or_else(|| find(code & 0xff)).unwrap_or(Bug)
}

/// The state of the database that an error shows, if it does.
pub(super) fn condition(error: &sqlx::Error) -> Option<Condition> {
    let class = match error {
        sqlx::Error::Database(error) => postgres(&error.code().unwrap_or_default()),
        _ => driver(error),
    };
    match class {
        Unavailable(condition) => Some(condition),
        _ => None,
    }
}

/// Classifies the failures of the driver itself.
pub(super) fn driver(error: &sqlx::Error) -> Class {
    use sqlx::Error;
    match error {
        Error::PoolTimedOut => Unavailable(TimedOut),
        Error::Io(error) => Unavailable(of_io(error)),
        // A broken connection answers with anything.
        Error::Tls(_) | Error::PoolClosed | Error::Protocol(_) | Error::WorkerCrashed | Error::BeginFailed => {
            Unavailable(Unreachable)
        }
        Error::Decode(_) | Error::ColumnDecode { .. } => Data,
        _ => Bug,
    }
}

fn of_io(error: &std::io::Error) -> Condition {
    use std::io::ErrorKind;
    if error.get_ref().is_some_and(|inner| inner.is::<FileReplaced>()) {
        return Replaced;
    }
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskFull,
        ErrorKind::ReadOnlyFilesystem => ReadOnly,
        ErrorKind::TimedOut => TimedOut,
        ErrorKind::OutOfMemory => OutOfResources,
        _ => Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_of_every_state_of_a_server_are_no_bug() {
        for (state, class) in [
            ("08000", Unavailable(Unreachable)),
            ("08006", Unavailable(Unreachable)),
            ("08P01", Unavailable(Unreachable)),
            ("22021", Data),
            ("23514", Data),
            ("25006", Unavailable(ReadOnly)),
            ("25P03", Unavailable(TimedOut)),
            ("28000", Unavailable(AccessRefused)),
            ("28P01", Unavailable(AccessRefused)),
            ("3D000", Unavailable(Missing)),
            ("40001", Conflict),
            ("40P01", Conflict),
            ("42501", Unavailable(AccessRefused)),
            ("42P01", Unavailable(Missing)),
            ("53000", Unavailable(OutOfResources)),
            ("53100", Unavailable(DiskFull)),
            ("53200", Unavailable(OutOfResources)),
            ("53300", Unavailable(OutOfConnections)),
            ("55P03", Conflict),
            ("57014", Unavailable(TimedOut)),
            ("57P01", Unavailable(ShuttingDown)),
            ("57P02", Unavailable(ShuttingDown)),
            ("57P03", Unavailable(ShuttingDown)),
            ("58030", Unavailable(IoError)),
            ("XX001", Unavailable(Damaged)),
        ] {
            assert_eq!(postgres(state), class, "{state}");
        }
    }

    #[test]
    fn errors_in_a_statement_are_bugs() {
        for state in ["42601", "42703", "42883", "25P02", "54001", "P0001", "XX000"] {
            assert_eq!(postgres(state), Bug, "{state}");
        }
        // ERROR, MISUSE, RANGE
        for code in [1, 21, 25] {
            assert_eq!(sqlite(code), Bug, "{code}");
        }
    }

    #[test]
    fn extended_codes_of_sqlite_are_classified_like_their_primary_code_or_by_themselves() {
        for (code, class) in [
            (5, Conflict),
            (261, Conflict),
            (517, Conflict),
            (8, Unavailable(ReadOnly)),
            (776, Unavailable(ReadOnly)),
            (1032, Unavailable(Replaced)),
            (10, Unavailable(IoError)),
            (778, Unavailable(IoError)),
            (4874, Unavailable(IoError)),
            (11, Unavailable(Damaged)),
            (13, Unavailable(DiskFull)),
            (14, Unavailable(Missing)),
            (19, Data),
            (275, Data),
            (26, Unavailable(Damaged)),
        ] {
            assert_eq!(sqlite(code), class, "{code}");
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        for (index, (state, _)) in POSTGRES.iter().enumerate() {
            assert!(!POSTGRES[..index].iter().any(|(earlier, _)| earlier == state), "{state}");
        }
        for (index, (code, _)) in SQLITE.iter().enumerate() {
            assert!(!SQLITE[..index].iter().any(|(earlier, _)| earlier == code), "{code}");
        }
    }
}
