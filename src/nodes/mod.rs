//! The link to the nodes: what they should have reaches them, what they counted reaches us.

pub mod collector;
pub mod spool;
pub mod supervisor;
