//! How long a subscription takes: rendering alone in every format with 20 and with 200 hosts, an answer to a program that
//! has it already, where nothing is rendered, and a whole request for each.
//!
//! `cargo bench --bench subscription`; the targets: 25 µs for 20 hosts as links, 250 µs for 55 kB of Xray, which is
//! what 40 of these hosts make, and a whole request in three times the rendering.

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a benchmark that can't go on ends")]

mod panel;
mod rendering;
mod route;

use criterion::{Criterion, criterion_group, criterion_main};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40);
    targets = rendering::formats, rendering::known, rendering::rules, route::formats
}
criterion_main!(benches);
