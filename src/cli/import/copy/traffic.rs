//! Copies the hourly traffic of nodes and users, by far the largest tables.

use futures_util::{StreamExt, TryStreamExt, future};

use super::copier::{CHUNK, Copier};
use super::target::Target;
use crate::cli::import::outcome::{Outcome, TableCounts};
use crate::cli::import::rows::reader::RowReader;
use crate::cli::import::rows::traffic::{self, NodeHours};
use crate::store::import::legacy;
use crate::store::import::tables;

impl Copier<'_> {
    pub(super) async fn traffic(&mut self) -> anyhow::Result<()> {
        let mut hours = NodeHours::default();
        self.node_traffic(&mut hours).await?;
        self.user_traffic(&mut hours).await?;
        let rows = hours.into_rows();
        self.outcome.node_hours = i64::try_from(rows.len())?;
        for chunk in rows.chunks(CHUNK) {
            self.target.insert(chunk).await?;
        }
        Ok(())
    }

    /// Reads the nodes' traffic into `hours`, which are written after the users' traffic is added.
    async fn node_traffic(&mut self, hours: &mut NodeHours) -> anyhow::Result<()> {
        let known = &self.known;
        let Outcome { tables, issues, sums, .. } = &mut self.outcome;
        let mut counts = TableCounts::new(legacy::NODE_USAGES.name);
        let mut chunks = self.source.rows(legacy::NODE_USAGES).try_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| error.1)?;
            let mut copied = 0;
            for row in &chunk {
                let mut row = RowReader::new(row, legacy::NODE_USAGES.name, &["id"], issues);
                let Some((uplink, downlink)) = hours.add(&mut row, |node| known.nodes.contains(&node)) else {
                    continue;
                };
                sums.uplink += i128::from(uplink);
                sums.downlink += i128::from(downlink);
                copied += 1;
            }
            counts.add(chunk.len(), copied);
            self.progress.advance(counts.table, chunk.len());
        }
        tables.push(counts);
        Ok(())
    }

    /// Streams the users' traffic into the target, and adds it to `hours`.
    async fn user_traffic(&mut self, hours: &mut NodeHours) -> anyhow::Result<()> {
        let (known, progress) = (&self.known, &mut self.progress);
        let Outcome { tables, issues, sums, .. } = &mut self.outcome;
        let mut counts = TableCounts::new(legacy::NODE_USER_USAGES.name);
        let mut chunks = self.source.rows(legacy::NODE_USER_USAGES).try_chunks(CHUNK).map(|chunk| {
            let chunk = chunk.map_err(|error| error.1)?;
            let mut rows = Vec::with_capacity(chunk.len());
            for row in &chunk {
                let mut row = RowReader::new(row, legacy::NODE_USER_USAGES.name, &["id"], issues);
                let has_user = |user| known.users.contains(&user);
                rows.extend(traffic::user_hour(&mut row, has_user, |node| known.nodes.contains(&node)));
            }
            for row in &rows {
                sums.counted += i128::from(row.counted);
                hours.add_counted(row);
            }
            counts.add(chunk.len(), rows.len());
            progress.advance(counts.table, chunk.len());
            anyhow::Ok(rows)
        });
        match &mut self.target {
            Target::Database(tx) => tables::load_user_hours(tx, &mut chunks).await?,
            Target::DryRun => (&mut chunks).try_for_each(|_| future::ready(Ok(()))).await?,
        }
        drop(chunks);
        tables.push(counts);
        Ok(())
    }
}
