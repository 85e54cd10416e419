//! Reads a table of SQLite: each value becomes the bytes that PostgreSQL would send.

use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row, query};

use super::catalog::{Kind, Table};
use super::reading::{RUN, failed, wrong_value};
use super::tuples::{add, begin, canonical_json};
use crate::store::engine::StoreError;

/// Streams the rows of a table.
pub(super) fn rows<'a>(
    connection: &'a mut SqliteConnection,
    table: &'a Table,
) -> BoxStream<'a, Result<Vec<u8>, StoreError>> {
    // The columns are the database's own, so the text can't be a registered one.
    let sql = AssertSqlSafe(format!("SELECT {} FROM {}", table.column_list(), table.quoted_name()));
    let rows = query(sql).fetch(connection);
    let runs = stream::try_unfold(Some(rows), move |rows| async move {
        let Some(mut rows) = rows else { return Ok(None) };
        let mut run = Vec::new();
        while run.len() < RUN {
            let Some(row) = rows.next().await else {
                return Ok((!run.is_empty()).then_some((run, None)));
            };
            encode(&row.map_err(failed)?, table, &mut run)?;
        }
        Ok(Some((run, Some(rows))))
    });
    runs.boxed()
}

fn encode(row: &SqliteRow, table: &Table, run: &mut Vec<u8>) -> Result<(), StoreError> {
    begin(run, table.columns.len());
    for (index, column) in table.columns.iter().enumerate() {
        let wrong = |error| wrong_value(table, &column.name, error);
        match column.kind {
            Kind::Integer => {
                let value: Option<i64> = row.try_get(index).map_err(wrong)?;
                add(run, value.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
            }
            Kind::Boolean => {
                let value: Option<bool> = row.try_get(index).map_err(wrong)?;
                add(run, value.map(|value| [u8::from(value)]).as_ref().map(<[u8; 1]>::as_slice));
            }
            Kind::Float => {
                let value: Option<f64> = row.try_get(index).map_err(wrong)?;
                add(run, value.map(f64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
            }
            Kind::Text => {
                let value: Option<&str> = row.try_get(index).map_err(wrong)?;
                add(run, value.map(str::as_bytes));
            }
            Kind::Bytes => add(run, row.try_get(index).map_err(wrong)?),
            Kind::Json => {
                let value: Option<&str> = row.try_get(index).map_err(wrong)?;
                let value = value.map(|text| canonical_json(text.as_bytes())).transpose();
                add(run, value.map_err(|error| wrong_value(table, &column.name, error))?.as_deref());
            }
        }
    }
    Ok(())
}
