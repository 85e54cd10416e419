//! How many of the nodes a panel can connect to.

use serde::{Deserialize, Serialize};

/// Result of one round of connections to all enabled nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReach {
    /// Number of nodes that accepted a connection.
    pub reached: u32,
    /// Number of enabled nodes.
    pub enabled: u32,
}

impl NodeReach {
    /// True if a leader with this reach should leave the lease to a member with reach `other`: it reaches fewer than half
    /// as many nodes. Smaller differences pass too quickly to be worth a change of leader.
    pub const fn is_far_below(self, other: Self) -> bool {
        self.reached.saturating_mul(2) < other.reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_than_half_is_far_below() {
        let far =
            |own, other| NodeReach { reached: own, enabled: 9 }.is_far_below(NodeReach { reached: other, enabled: 9 });
        assert!(far(0, 1) && far(1, 3) && far(4, 9));
        assert!(!far(0, 0) && !far(1, 2) && !far(5, 9) && !far(9, 1));
    }
}
