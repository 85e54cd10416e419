//! Ids as separate types, so that a node's id can't be used as a user's id.

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
    /// Id of an admin.
    AdminId,
    /// Id of a role.
    RoleId,
    /// Id of a service.
    ServiceId,
    /// Id of a user; the node protocol limits it to 32 bits.
    UserId,
    /// Id of a node.
    NodeId,
    /// Id of an inbound.
    InboundId,
    /// Id of a host.
    HostId,
    /// Number of a leader's term: one higher with every claim of the lease.
    Epoch,
}
