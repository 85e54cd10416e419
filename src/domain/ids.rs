//! Ids as types of their own, so that a node's id can't be passed for a user's.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// An admin's row.
    AdminId,
    /// A service's row.
    ServiceId,
    /// A user's row; on the wire to nodes it must fit 32 bits.
    UserId,
    /// A node's row.
    NodeId,
    /// An inbound's row.
    InboundId,
    /// A host's row.
    HostId,
    /// A leader's term: grows by one with every claim of the lease.
    Epoch,
}
