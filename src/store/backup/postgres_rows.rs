//! Reads a table of PostgreSQL by a binary COPY, whose tuples are passed on as they are.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::PgConnection;
use tokio::time::timeout;

use super::catalog::{Kind, Table};
use super::reading::{READING, RUN, failed, wrong_value};
use super::tuples::{self, Tuple, Tuples, canonical_json};
use crate::store::engine::StoreError;

/// The beginning of a binary COPY: a signature, no flags and no extension.
pub(super) const BEGINS: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Its end: the number of values of a tuple that is none.
pub(super) const ENDS: &[u8] = &(-1_i16).to_be_bytes();
/// Version of the binary form of JSONB, which precedes the text.
pub(super) const JSONB_VERSION: u8 = 1;

/// The longest silence of a server that works.
const SILENCE: Duration = Duration::from_secs(120);

/// Streams the rows of a table.
pub(super) fn rows<'a>(
    connection: &'a mut PgConnection,
    table: &'a Table,
) -> BoxStream<'a, Result<Vec<u8>, StoreError>> {
    let begun = async move {
        let sql = match table.columns.iter().any(|column| column.is_numeric) {
            true => format!("COPY ({}) TO STDOUT (FORMAT BINARY)", table.postgres_select()),
            false => format!("COPY {} ({}) TO STDOUT (FORMAT BINARY)", table.quoted_name(), table.column_list()),
        };
        let copy = within(connection.copy_out_raw(&sql)).await?.map_err(failed)?;
        let state = (copy, Copied { table, pending: Vec::new(), begun: false, ended: false });
        Ok(stream::try_unfold(state, |(mut copy, mut copied)| async move {
            let mut run = Vec::new();
            while run.len() < RUN {
                match within(copy.next()).await? {
                    Some(bytes) => copied.add(&bytes.map_err(failed)?, &mut run)?,
                    None if !copied.ended => return Err(protocol("the server ended it early")),
                    None => return Ok((!run.is_empty()).then_some((run, (copy, copied)))),
                }
            }
            Ok(Some((run, (copy, copied))))
        }))
    };
    stream::once(begun).try_flatten().boxed()
}

/// The state of a COPY that is being received.
struct Copied<'a> {
    table: &'a Table,
    /// The beginning of a tuple whose end was not received yet.
    pending: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl Copied<'_> {
    /// Appends the tuples that these bytes complete to `run`.
    fn add(&mut self, bytes: &[u8], run: &mut Vec<u8>) -> Result<(), StoreError> {
        self.pending.extend(bytes);
        if !self.begun {
            let Some(rest) = self.pending.strip_prefix(BEGINS) else {
                let may_follow = BEGINS.starts_with(&self.pending);
                return if may_follow { Ok(()) } else { Err(protocol("its header is not known")) };
            };
            (self.begun, self.pending) = (true, rest.to_vec());
        }
        let mut received = Tuples::new(&self.pending);
        loop {
            if received.rest() == ENDS {
                self.ended = true;
                self.pending.clear();
                return Ok(());
            }
            match received.next_complete().map_err(protocol)? {
                Some(tuple) => pass_on(&tuple, self.table, run)?,
                None => break,
            }
        }
        let rest = received.rest().len();
        self.pending.drain(..self.pending.len() - rest);
        Ok(())
    }
}

fn pass_on(tuple: &Tuple<'_>, table: &Table, run: &mut Vec<u8>) -> Result<(), StoreError> {
    if table.columns.iter().all(|column| column.kind != Kind::Json) {
        run.extend(tuple.bytes());
        return Ok(());
    }
    tuples::begin(run, tuple.count());
    for (value, column) in tuple.values().zip(&table.columns) {
        match (value, column.kind) {
            (Some(value), Kind::Json) => {
                let text = value.strip_prefix(&[JSONB_VERSION]);
                let text = text.ok_or_else(|| wrong_value(table, &column.name, "a newer form of JSONB"))?;
                let canonical = canonical_json(text).map_err(|error| wrong_value(table, &column.name, error))?;
                tuples::add(run, Some(&canonical));
            }
            (value, _) => tuples::add(run, value),
        }
    }
    Ok(())
}

fn protocol(problem: impl std::fmt::Display) -> StoreError {
    failed(sqlx::Error::Protocol(format!("COPY: {problem}")))
}

async fn within<T>(answer: impl Future<Output = T>) -> Result<T, StoreError> {
    timeout(SILENCE, answer).await.map_err(|_| StoreError::timed_out(READING))
}
