//! The messages and the client of the node protocol, generated from `proto/marznode.proto`.
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction, reason = "generated code")]

tonic::include_proto!("marznode");
