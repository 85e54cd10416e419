//! Tests of rendered subscriptions in every format.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod clash_rules;
mod compare;
mod contract;
mod core_settings;
mod corrections;
mod dial;
mod entries;
mod jinja;
mod literal;
mod matrix;
mod odd;
mod parse;
mod programs;
mod properties;
mod python_patterns;
mod referees;
mod rows;
mod sing_box_ages;
mod sizes;
mod snapshots;
mod xray_ages;
mod yaml;
