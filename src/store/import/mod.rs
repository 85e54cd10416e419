//! Whole databases: reading Marzneshin's tables, and writing and reading all of ours.

pub mod legacy;
pub mod tables;
