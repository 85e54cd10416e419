//! Tests of rendered subscriptions in every format.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod clash_rules;
mod compare;
mod contract;
mod entries;
mod literal;
mod parse;
mod programs;
mod properties;
mod rows;
mod sizes;
mod snapshots;
mod yaml;
