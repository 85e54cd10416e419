//! Usage of nodes and users: staged batches, their totals, and the hours and days that series are read from.

pub mod batches;
pub mod by_node;
pub(in crate::store) mod charge_columns;
pub mod days;
pub mod finish;
pub mod hours;
pub mod series;
pub mod totals;
pub(in crate::store) mod traffic_writers;
