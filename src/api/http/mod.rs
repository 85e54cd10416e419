//! Shared by all resources: routes, admission, authentication, inputs, errors, paging.

pub mod admission;
pub mod auth;
pub mod body;
pub mod boundary;
pub mod byte_budget;
mod caller;
pub mod client;
mod cors;
pub mod enum_text;
pub mod error;
pub mod field_errors;
pub mod form;
mod head;
mod identify;
pub mod input;
mod json_size;
pub mod loose;
mod not_a_number;
pub mod paging;
pub mod query;
pub mod receive;
pub mod rng;
pub mod routes;
pub mod security_headers;
mod shares;
pub mod short_text;
pub mod token;
