//! Traffic by the hour, from old rows to new ones.

use std::collections::BTreeMap;

use super::reading::Reading;
use crate::store::tables::{NodeHourRow, UserHour};

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

/// Puts hours in their table's order and adds up those that are there twice.
pub(super) fn merged(mut hours: Vec<UserHour>) -> Vec<UserHour> {
    hours.sort_unstable();
    hours.dedup_by(|next, kept| {
        let same = (next.user_id, next.hour, next.node_id) == (kept.user_id, kept.hour, kept.node_id);
        if same {
            kept.counted = kept.counted.saturating_add(next.counted);
        }
        same
    });
    hours
}

fn hour(row: &mut Reading<'_>) -> Option<i64> {
    match row.time("created_at") {
        Some(moment) => Some(moment.hour().micros()),
        None => row.left_out("its hour can't be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Moment;

    #[test]
    fn hours_that_are_there_twice_are_one() {
        let at = |user_id, counted| UserHour { user_id, hour: Moment::MIN.micros(), node_id: GONE, counted };
        assert_eq!(merged(vec![at(2, 5), at(1, 1), at(2, 7), at(2, 0)]), [at(1, 1), at(2, 12)]);
        assert_eq!(merged(vec![at(1, i64::MAX), at(1, 1)]), [at(1, i64::MAX)]);
    }
}
