//! The environment, read once into typed sections. Nothing else reads the environment.

pub mod cores;
pub mod database_url;
pub mod secret;
