//! Admins, their roles, quotas, sessions and API tokens, the secrets that sign their tokens, and the codes that make the first one.

pub mod accounts;
mod admin_row;
pub mod admins;
pub mod api_tokens;
pub mod passkeys;
pub mod quotas;
pub mod roles;
pub mod saved_views;
pub mod second_factor;
pub mod secrets;
pub mod sessions;
pub mod setup_codes;
