//! Messages about one user that belong together, and what the status of a node says of those that it refuses.

use tonic::Code;

use crate::foundation::first_of;
use crate::nodes::messages::id;
use crate::nodes::node_error::NodeError;
use crate::nodes::proto::UserData;

/// Changes per stream. A node takes about 10 ms for a change, and a stream must come to its end before this process does.
pub(super) const BATCH: usize = 200;
/// Most refused users that the status of a node names.
const NAMED: usize = 10;

/// The messages about one user that belong together, in their order.
pub(super) type Unit = Vec<UserData>;

/// Collects units into batches.
pub(super) fn in_batches(units: impl Iterator<Item = Unit>) -> impl Iterator<Item = Vec<Unit>> {
    let mut units = units.fuse();
    std::iter::from_fn(move || {
        let (mut batch, mut messages) = (Vec::new(), 0);
        while messages < BATCH
            && let Some(unit) = units.next()
        {
            messages += unit.len();
            batch.push(unit);
        }
        (!batch.is_empty()).then_some(batch)
    })
}

/// Returns the error of a node that does not accept users. It names some of them.
pub(super) fn refusal(units: &[Unit]) -> NodeError {
    // In the order of ids, which the ends of streams do not have: the status is written when it changes.
    let mut ids: Vec<u32> = units.iter().filter_map(|unit| unit.first()).map(id).collect();
    ids.sort_unstable();
    let reason = format!("it does not accept these of its users, by id: {}", first_of(&ids, NAMED));
    NodeError::Refused { call: "SyncUsers", code: Code::Unknown, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::proto::User;

    #[test]
    fn refusal_names_users_in_the_order_of_their_ids() {
        let unit = |id| vec![UserData { user: Some(User { id, ..User::default() }), inbounds: Vec::new() }];
        let units: Vec<Unit> = (1..=12).rev().map(unit).collect();
        let text = refusal(&units).to_string();
        assert!(text.ends_with("by id: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"), "{text}");
    }

    #[test]
    fn units_stay_whole_in_batches() {
        let unit = |messages| vec![UserData::default(); messages];
        let units = [unit(BATCH - 1), unit(2), unit(1), unit(0)];
        let sizes: Vec<Vec<usize>> =
            in_batches(units.into_iter()).map(|batch| batch.iter().map(Vec::len).collect()).collect();
        assert_eq!(sizes, [vec![BATCH - 1, 2], vec![1, 0]]);
        assert_eq!(in_batches(std::iter::empty()).count(), 0);
    }
}
