//! Tests of several processes, nodes and servers together: leadership, tasks, usage, nodes, notifications.
#![cfg(test)]

mod app;
mod cluster;
mod nodes;
mod notify;
mod scheduler;
mod support;
mod usage;
