//! Tests of single layers: the API, back-ups, the commands, the store, subscriptions, and the rules of the source.
#![cfg(test)]

mod api;
mod backup;
mod cli;
mod layers;
mod store;
mod subscription;
mod support;
