//! Sarban: a panel for fleets of proxy servers. The modules are listed by layer: a module may use those above it, and
//! never the reverse. The test `layers` enforces this.

pub mod foundation;

pub mod domain;

pub mod subscription;

pub mod clock;
pub mod config;
pub mod dashboard;

pub mod store;

pub mod cluster;
pub mod nodes;
pub mod notify;

pub mod actions;
pub mod backup;

pub mod api;
pub mod cli;
pub mod scheduler;

pub mod app;
