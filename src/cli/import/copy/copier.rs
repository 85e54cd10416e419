//! The state of a copy, and the copying of one table.

use futures_util::{StreamExt, TryStreamExt};

use super::known_ids::KnownIds;
use super::target::Target;
use crate::cli::import::outcome::{Outcome, TableCounts};
use crate::cli::import::progress::Progress;
use crate::cli::import::rows::reader::RowReader;
use crate::cli::import::sample::Sample;
use crate::domain::moment::Moment;
use crate::store::import::legacy::{OldRow, OldTable, Source};
use crate::store::import::tables::TableRow;

/// Rows per chunk, which is read and written at once.
pub(super) const CHUNK: usize = 5_000;

/// A copy in progress.
pub(super) struct Copier<'a> {
    pub source: &'a mut Source,
    pub target: Target<'a>,
    pub progress: Progress,
    pub outcome: Outcome,
    pub known: KnownIds,
    /// The creation time of rows that have none.
    pub now: Moment,
}

impl<'a> Copier<'a> {
    pub(super) fn new(
        source: &'a mut Source,
        target: Target<'a>,
        progress: Progress,
        outcome: Outcome,
        now: Moment,
    ) -> Self {
        Self { source, target, progress, outcome, known: KnownIds::default(), now }
    }

    pub(super) fn finish(self) -> Outcome {
        self.progress.clear();
        self.outcome
    }

    /// Copies a table whose rows become rows of one table. `keys` are the columns that identify a row.
    pub(super) async fn table<R: TableRow>(
        &mut self,
        table: &'static OldTable,
        keys: &[&str],
        mut convert: impl FnMut(&mut RowReader<'_>, &mut KnownIds, &mut Sample) -> Option<R>,
    ) -> anyhow::Result<()> {
        let Outcome { tables, issues, sample, .. } = &mut self.outcome;
        let mut counts = TableCounts::new(table.name);
        let mut chunks = self.source.rows(table).try_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let chunk: Vec<OldRow> = chunk.map_err(|error| error.1)?;
            let mut read = |row| convert(&mut RowReader::new(row, table.name, keys, issues), &mut self.known, sample);
            let rows: Vec<R> = chunk.iter().filter_map(&mut read).collect();
            self.target.insert(&rows).await?;
            counts.add(chunk.len(), rows.len());
            self.progress.advance(table.name, chunk.len());
        }
        tables.push(counts);
        Ok(())
    }

    /// Copies a table that has one row: the first valid one, as Marzneshin uses the first.
    pub(super) async fn single_row<R: TableRow>(
        &mut self,
        table: &'static OldTable,
        convert: impl Fn(&mut RowReader<'_>) -> Option<R>,
    ) -> anyhow::Result<()> {
        let mut done = false;
        self.table(table, &["id"], |row, _, _| {
            if done {
                return row.leave_out("only the first row of this table is used");
            }
            let converted = convert(row);
            done = converted.is_some();
            converted
        })
        .await
    }
}
