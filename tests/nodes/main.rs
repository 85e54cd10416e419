//! The node supervisor against test nodes that speak the real protocol, on both engines.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/test_node/mod.rs"]
mod test_node;

mod calm;
mod hand_overs;
mod leading;
mod panel;
mod strangers;
mod trust;
mod usage;
mod users;
