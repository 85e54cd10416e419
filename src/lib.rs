//! Sarban: a panel for fleets of proxy servers. The rooms of the house, in reading order; a lower room may use a
//! higher one, never the reverse (`tests/layers.rs` holds this).

pub mod foundation;

pub mod domain;

pub mod subscription;

pub mod clock;
pub mod config;

pub mod store;

pub mod cluster;
pub mod nodes;
pub mod notify;

pub mod actions;

pub mod api;
pub mod cli;
pub mod scheduler;

pub mod app;
