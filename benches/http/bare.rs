//! A poem route that only returns the requested number of bytes: the upper limit of the panel's routes.
//! `cargo run --release --example bare -- 9000 --workers 2`
#![allow(missing_docs, reason = "a program for benchmarks")]

use clap::Parser;
use poem::listener::TcpListener;
use poem::web::Path;
use poem::{Response, Route, Server, get, handler};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    port: u16,
    /// Number of worker threads.
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

#[handler]
fn bytes(Path(count): Path<usize>) -> Response {
    Response::builder().content_type("application/json").body(vec![b'x'; count.min(1 << 24)])
}

fn main() -> anyhow::Result<()> {
    let Arguments { port, workers } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let app = Route::new().at("/bytes/:count", get(bytes));
    Ok(runtime.block_on(Server::new(TcpListener::bind(("127.0.0.1", port))).run(app))?)
}
