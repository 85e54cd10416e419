//! The node supervisor against test nodes that speak the real protocol, on both engines.

mod broken_calls;
mod calm;
mod edit_lock;
mod engines;
mod hand_overs;
mod healing;
mod leading;
mod offers;
pub mod panel;
mod reach;
mod silent_cut;
mod strangers;
mod trust;
mod usage;
mod users;
