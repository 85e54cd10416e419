//! Converts hourly traffic.

use std::collections::BTreeMap;

use super::reader::RowReader;
use crate::store::import::tables::{NodeHourRow, UserHour};

/// Maximum traffic of an hour, in bytes. Larger values are errors, and their sums could overflow.
const MAX_BYTES: i64 = 1 << 53;

/// Id for the traffic of deleted nodes and users, whose ids Marzneshin does not store.
const DELETED: i64 = 0;

/// Traffic by node and hour.
#[derive(Debug, Default)]
pub(in crate::cli::import) struct NodeHours(BTreeMap<(i64, i64), NodeHourRow>);

impl NodeHours {
    /// Adds a row of a node's traffic, and returns upload and download; none if the row is left out.
    pub(in crate::cli::import) fn add(
        &mut self,
        row: &mut RowReader<'_>,
        has_node: impl Fn(i64) -> bool,
    ) -> Option<(i64, i64)> {
        let hour = hour(row)?;
        let node = row.integer("node_id").filter(|node| has_node(*node)).unwrap_or(DELETED);
        let uplink = row.bytes("uplink", MAX_BYTES);
        let downlink = row.bytes("downlink", MAX_BYTES);
        let total = self.entry(node, hour);
        total.uplink = total.uplink.saturating_add(uplink);
        total.downlink = total.downlink.saturating_add(downlink);
        Some((uplink, downlink))
    }

    /// Adds a user's traffic to the node's counted bytes.
    pub(in crate::cli::import) fn add_counted(&mut self, user: &UserHour) {
        let total = self.entry(user.node_id, user.hour);
        total.counted = total.counted.saturating_add(user.counted);
    }

    /// Returns a row for each node and hour.
    pub(in crate::cli::import) fn into_rows(self) -> Vec<NodeHourRow> {
        self.0.into_values().collect()
    }

    fn entry(&mut self, node_id: i64, hour: i64) -> &mut NodeHourRow {
        let empty = NodeHourRow { node_id, hour, uplink: 0, downlink: 0, counted: 0 };
        self.0.entry((node_id, hour)).or_insert(empty)
    }
}

/// Converts a row of a user's traffic on a node.
pub(in crate::cli::import) fn user_hour(
    row: &mut RowReader<'_>,
    has_user: impl Fn(i64) -> bool,
    has_node: impl Fn(i64) -> bool,
) -> Option<UserHour> {
    let hour = hour(row)?;
    Some(UserHour {
        user_id: row.integer("user_id").filter(|user| has_user(*user)).unwrap_or(DELETED),
        hour,
        node_id: row.integer("node_id").filter(|node| has_node(*node)).unwrap_or(DELETED),
        counted: row.bytes("used_traffic", MAX_BYTES),
    })
}

fn hour(row: &mut RowReader<'_>) -> Option<i64> {
    match row.time("created_at") {
        Some(moment) => Some(moment.hour().micros()),
        None => row.leave_out("created_at is not a time"),
    }
}
