//! Writes runs of tuples into a table.

use sqlx::postgres::PgCopyIn;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, PgConnection, query};

use super::catalog::{Kind, Table};
use super::postgres_rows::{BEGINS, ENDS, JSONB_VERSION};
use super::tuples::{self, Tuple, Tuples};
use crate::store::engine::{StoreError, Tx};

/// Most values and rows of one INSERT of SQLite, which allows 32,766 values.
const MAX_VALUES: usize = 16_000;
const MAX_ROWS: usize = 500;

/// A table that is being filled.
pub struct Loader<'t> {
    table: &'t Table,
    into: Into<'t>,
}

enum Into<'t> {
    Postgres(PgCopyIn<&'t mut PgConnection>),
    Sqlite { connection: &'t mut SqliteConnection, rows_at_once: usize, insert: String },
}

impl<'t> Loader<'t> {
    /// Begins to fill a table. No other statement may run in the transaction until [`Loader::finish`].
    pub async fn begin(tx: &'t mut Tx, table: &'t Table) -> Result<Self, StoreError> {
        let (name, columns) = (table.quoted_name(), table.column_list());
        let into = match tx {
            Tx::Pg(tx) => {
                let sql = format!("COPY {name} ({columns}) FROM STDIN (FORMAT BINARY)");
                let connection = tx.connection().map_err(failed)?;
                let mut copy = connection.copy_in_raw(&sql).await.map_err(failed)?;
                copy.send(BEGINS).await.map_err(failed)?;
                Into::Postgres(copy)
            }
            Tx::Lite { tx, .. } => Into::Sqlite {
                connection: tx,
                rows_at_once: (MAX_VALUES / table.columns.len().max(1)).clamp(1, MAX_ROWS),
                insert: format!("INSERT INTO {name} ({columns}) VALUES "),
            },
        };
        Ok(Self { table, into })
    }

    /// Inserts a run of tuples.
    pub async fn add(&mut self, run: &[u8]) -> Result<(), StoreError> {
        let table = self.table;
        match &mut self.into {
            Into::Postgres(copy) if table.is_plain() => {
                copy.send(run).await.map_err(failed)?;
            }
            Into::Postgres(copy) => {
                copy.send(for_postgres(run, table)?).await.map_err(failed)?;
            }
            Into::Sqlite { connection, rows_at_once, insert } => {
                let tuples: Vec<Tuple<'_>> = Tuples::new(run).collect::<Result<_, _>>().map_err(decode)?;
                for some in tuples.chunks(*rows_at_once) {
                    let row = format!("({})", vec!["?"; table.columns.len()].join(", "));
                    let sql = AssertSqlSafe(format!("{insert}{}", vec![row.as_str(); some.len()].join(", ")));
                    // Each table needs one text for its full statements; the last one is not worth a place in the cache.
                    let mut statement = query(sql).persistent(some.len() == *rows_at_once);
                    for tuple in some {
                        statement = bind(statement, table, tuple)?;
                    }
                    statement.execute(&mut **connection).await.map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// Waits until all rows are in the table.
    pub async fn finish(self) -> Result<(), StoreError> {
        if let Into::Postgres(mut copy) = self.into {
            copy.send(ENDS).await.map_err(failed)?;
            copy.finish().await.map_err(failed)?;
        }
        Ok(())
    }

    /// Gives up, so that the transaction can be rolled back.
    pub async fn abort(self) {
        if let Into::Postgres(copy) = self.into {
            // The error that led here is the one to report.
            drop(copy.abort("the back-up can't be read").await);
        }
    }
}

fn for_postgres(run: &[u8], table: &Table) -> Result<Vec<u8>, StoreError> {
    let mut converted = Vec::with_capacity(run.len());
    for tuple in Tuples::new(run) {
        let tuple = tuple.map_err(decode)?;
        tuples::begin(&mut converted, tuple.count());
        for (value, column) in tuple.values().zip(&table.columns) {
            match (value, column.kind) {
                (Some(text), Kind::Json) => tuples::add(&mut converted, Some(&[&[JSONB_VERSION], text].concat())),
                (Some(it), _) if column.is_numeric => {
                    let number =
                        it.try_into().map_err(|_| decode(format!("a row has no number in {}", column.name)))?;
                    tuples::add(&mut converted, Some(&numeric(i64::from_be_bytes(number))));
                }
                (value, _) => tuples::add(&mut converted, value),
            }
        }
    }
    Ok(converted)
}

/// The binary form of NUMERIC: number of digits to the base 10,000, weight of the first, sign, digits behind the point, and
/// the digits.
fn numeric(number: i64) -> Vec<u8> {
    let (mut rest, mut digits) = (number.unsigned_abs(), Vec::new());
    while rest > 0 {
        // Below 10,000.
        digits.push((rest % 10_000) as u16);
        rest /= 10_000;
    }
    // Five at most.
    let count = digits.len() as u16;
    let sign = if number < 0 { 0x4000 } else { 0 };
    let fields = [count, count.saturating_sub(1), sign, 0].into_iter().chain(digits.into_iter().rev());
    fields.flat_map(u16::to_be_bytes).collect()
}

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind<'q>(mut statement: Statement<'q>, table: &Table, tuple: &Tuple<'_>) -> Result<Statement<'q>, StoreError> {
    if tuple.count() != table.columns.len() {
        return Err(decode("a row has another number of values than its table has columns"));
    }
    for (value, column) in tuple.values().zip(&table.columns) {
        let wrong = || decode(format!("a row has no {:?} in {}", column.kind, column.name));
        statement = match (column.kind, value) {
            (_, None) => statement.bind(None::<i64>),
            (Kind::Integer, Some(it)) => statement.bind(i64::from_be_bytes(it.try_into().map_err(|_| wrong())?)),
            (Kind::Boolean, Some(it)) => statement.bind(it == [1]),
            (Kind::Float, Some(it)) => statement.bind(f64::from_be_bytes(it.try_into().map_err(|_| wrong())?)),
            (Kind::Text | Kind::Json, Some(it)) => {
                statement.bind(std::str::from_utf8(it).map_err(|_| wrong())?.to_owned())
            }
            (Kind::Bytes, Some(it)) => statement.bind(it.to_vec()),
        };
    }
    Ok(statement)
}

fn failed(source: sqlx::Error) -> StoreError {
    StoreError::new("filling a table", source)
}

fn decode(problem: impl std::fmt::Display) -> StoreError {
    failed(sqlx::Error::Decode(problem.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_has_digits_to_the_base_of_ten_thousand() {
        let fields =
            |number| -> Vec<u16> { numeric(number).chunks(2).map(|it| u16::from_be_bytes([it[0], it[1]])).collect() };
        assert_eq!(fields(0), [0, 0, 0, 0]);
        assert_eq!(fields(-123_456), [2, 1, 0x4000, 0, 12, 3456]);
        assert_eq!(fields(50_000_000), [2, 1, 0, 0, 5000, 0]);
        assert_eq!(fields(i64::MIN), [5, 4, 0x4000, 0, 922, 3372, 368, 5477, 5808]);
    }
}
