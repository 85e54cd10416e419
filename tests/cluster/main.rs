//! Leadership, fence, ledger and usage accounting, on real databases and a real Redis.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod elector;
mod fence;
mod gate;
mod lease;
mod ledger;
mod review;
mod usage;
