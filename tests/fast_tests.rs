//! Tests of single layers: the API, the commands, the store, subscriptions, and the rules of the source.
#![cfg(test)]

mod api;
mod cli;
mod layers;
mod store;
mod subscription;
mod support;
