//! Traffic by the hour, from old rows to new ones.

use std::collections::BTreeMap;

use super::reading::Reading;
use crate::store::import::tables::{NodeHourRow, UserHour};

/// More than nine petabytes in an hour are a mistake of somebody's, and sums of them would not fit.
const MOST_BYTES_OF_AN_HOUR: i64 = 1 << 53;

/// The id that traffic of nodes and users that are gone is kept under. The old panel forgot which it was.
const GONE: i64 = 0;

/// What went through each node in each hour.
#[derive(Debug, Default)]
pub(super) struct NodeHours(BTreeMap<(i64, i64), NodeHourRow>);

impl NodeHours {
    /// Adds an old row of a node's traffic. `None`: it can't be copied.
    pub(super) fn add(&mut self, row: &mut Reading<'_>, has_node: impl Fn(i64) -> bool) -> Option<(i64, i64)> {
        let hour = hour(row)?;
        let node = row.integer("node_id").filter(|node| has_node(*node)).unwrap_or(GONE);
        let uplink = row.bytes("uplink", MOST_BYTES_OF_AN_HOUR);
        let downlink = row.bytes("downlink", MOST_BYTES_OF_AN_HOUR);
        let at = self.at(node, hour);
        at.uplink = at.uplink.saturating_add(uplink);
        at.downlink = at.downlink.saturating_add(downlink);
        Some((uplink, downlink))
    }

    /// Adds a user's traffic to the node's counted bytes.
    pub(super) fn count(&mut self, of: &UserHour) {
        let at = self.at(of.node_id, of.hour);
        at.counted = at.counted.saturating_add(of.counted);
    }

    /// All of them.
    pub(super) fn into_rows(self) -> Vec<NodeHourRow> {
        self.0.into_values().collect()
    }

    fn at(&mut self, node_id: i64, hour: i64) -> &mut NodeHourRow {
        let empty = NodeHourRow { node_id, hour, uplink: 0, downlink: 0, counted: 0 };
        self.0.entry((node_id, hour)).or_insert(empty)
    }
}

/// An old row of a user's traffic on a node.
pub(super) fn user_hour(
    row: &mut Reading<'_>,
    has_user: impl Fn(i64) -> bool,
    has_node: impl Fn(i64) -> bool,
) -> Option<UserHour> {
    let hour = hour(row)?;
    Some(UserHour {
        user_id: row.integer("user_id").filter(|user| has_user(*user)).unwrap_or(GONE),
        hour,
        node_id: row.integer("node_id").filter(|node| has_node(*node)).unwrap_or(GONE),
        counted: row.bytes("used_traffic", MOST_BYTES_OF_AN_HOUR),
    })
}

fn hour(row: &mut Reading<'_>) -> Option<i64> {
    match row.time("created_at") {
        Some(moment) => Some(moment.hour().micros()),
        None => row.left_out("its hour can't be read"),
    }
}
