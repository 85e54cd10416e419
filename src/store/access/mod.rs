//! Admins and the secrets that sign their tokens.

pub mod admins;
pub mod secrets;
