//! Time of a subscription: rendering in every format with 20 and 200 hosts, a response without rendering to a client
//! whose copy is current, and a complete request for each.
//!
//! `cargo bench --bench subscription`; the targets: 25 µs for 20 hosts as links, 250 µs for 55 kB of Xray, which are 40
//! of these hosts, and a complete request in three times the time of its rendering.

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a benchmark that can't go on ends")]

mod panel;
mod rendering;
mod route;

use criterion::{Criterion, criterion_group, criterion_main};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40);
    targets = rendering::formats, rendering::without_body, rendering::rules, route::formats
}
criterion_main!(benches);
