//! Tests of several processes, nodes and servers together: leadership, tasks, usage, nodes, notifications, attacks.
#![cfg(test)]

mod app;
mod attack;
mod cluster;
mod nodes;
mod notify;
mod scheduler;
mod support;
mod usage;
