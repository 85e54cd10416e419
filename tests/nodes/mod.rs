//! The node supervisor against test nodes that speak the real protocol, on both engines.

#[path = "../api/panel.rs"]
#[expect(dead_code, reason = "the tests of the API use all of it")]
mod api_panel;
mod broken_calls;
mod calm;
mod diagnosis;
mod doubt;
mod edit_lock;
mod engines;
mod hand_overs;
mod healing;
mod leading;
mod lost_users;
mod offers;
pub mod panel;
mod reach;
mod silent_cut;
mod strangers;
mod trust;
mod usage;
mod users;
