//! Admins, the secrets that sign their tokens, and the codes that make the first one.

pub mod admins;
pub mod secrets;
pub mod setup_codes;
