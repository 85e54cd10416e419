//! The audit log: its entries, and the seals that chain them.

pub mod entries;
pub mod seals;
