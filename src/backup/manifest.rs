//! What a back-up says of itself: its head, and the counts, sums and digests at its end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::store::backup::{Malformed, Table, Tuples};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Columns whose sums are in a back-up, so that a person can compare them with those of a panel.
const SUMMED: &[(&str, &[&str])] = &[
    ("user_traffic", &["used_traffic", "lifetime_used_traffic"]),
    ("user_usage_hours", &["counted"]),
    ("user_usage_days", &["counted"]),
    ("node_usage_hours", &["uplink", "downlink"]),
    ("node_usage_days", &["uplink", "downlink"]),
];

/// The first block of a back-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the format.
    pub format: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Engine of the database.
    pub engine: String,
    /// Newest migration of the database.
    pub schema_version: i64,
    /// Time of the snapshot, in UTC.
    pub created_at: String,
    /// True if the panel's own secrets are in it.
    pub with_secrets: bool,
}

/// The last block of a back-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The first block.
    pub head: Head,
    /// The tables in their order.
    pub tables: Vec<TableSummary>,
    /// The last id that each table assigned.
    pub last_ids: BTreeMap<String, i64>,
    /// Number of spool files.
    pub spool_files: u64,
    /// Bytes of all spool files.
    pub spool_bytes: u64,
}

/// Count, digest and sums of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSummary {
    /// Name.
    pub name: String,
    /// Number of rows.
    pub rows: u64,
    /// Sum of the rows' XXH3 digests of 128 bits, so that the order of rows does not matter.
    pub digest: String,
    /// Sums of columns with traffic.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sums: BTreeMap<String, String>,
}

impl Manifest {
    /// Returns the number of rows of a table.
    pub fn rows(&self, table: &str) -> u64 {
        self.tables.iter().find(|summary| summary.name == table).map_or(0, |summary| summary.rows)
    }
}

/// Counts, digests and sums the rows of a table.
#[derive(Debug)]
pub(super) struct Summing<'t> {
    table: &'t Table,
    rows: u64,
    digest: u128,
    /// Positions of columns and their sums.
    sums: Vec<(usize, i128)>,
}

impl<'t> Summing<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        let summed = SUMMED.iter().find(|(name, _)| *name == table.name).map_or(&[][..], |(_, columns)| columns);
        let is_summed = |name: &str| summed.contains(&name);
        let positions = table.columns.iter().enumerate().filter(|(_, column)| is_summed(&column.name));
        Self { table, rows: 0, digest: 0, sums: positions.map(|(position, _)| (position, 0)).collect() }
    }

    /// Adds a run of rows.
    pub(super) fn add(&mut self, run: &[u8]) -> Result<(), Malformed> {
        for tuple in Tuples::new(run) {
            let tuple = tuple?;
            if tuple.count() != self.table.columns.len() {
                return Err(Malformed);
            }
            self.rows += 1;
            self.digest = self.digest.wrapping_add(xxh3_128(tuple.bytes()));
            for (position, sum) in &mut self.sums {
                let value = tuple.values().nth(*position).flatten();
                *sum += value.and_then(|it| it.try_into().ok()).map_or(0, |it| i128::from(i64::from_be_bytes(it)));
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> TableSummary {
        let column = |position: usize| self.table.columns.get(position).map(|column| column.name.clone());
        let sums = self.sums.iter().filter_map(|(position, sum)| Some((column(*position)?, sum.to_string())));
        TableSummary {
            name: self.table.name.clone(),
            rows: self.rows,
            digest: format!("{:032x}", self.digest),
            sums: sums.collect(),
        }
    }
}
