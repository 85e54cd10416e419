//! What each command of the program needs before it runs: settings, a runtime of the right kind, and logging.
//!
//! It is here and not in `main.rs` because the code of an `async fn` is compiled by the crate that runs it: there it would be
//! compiled a second time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use super::edge::serve_edge;
use super::preflight::PREFLIGHT;
use super::render_context;
use super::serve::serve;
use super::serve_options::ServeOptions;
use super::telemetry::start_logging;
use crate::api;
use crate::cli::{self, Command};
use crate::config::Settings;
use crate::config::cores::Cores;

/// Time for threads of a command to end after it.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// Runs a command with the settings of the environment.
pub fn run(command: Command) -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    // An error means that a provider is installed already, which can't be the case this early.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match command {
        Command::Serve(args) => {
            start_logging(settings.log);
            let cores = Cores::detect();
            let workers = settings.threads.workers(cores.whole());
            let (migrate, take_over) = (!args.no_migrate, args.take_over);
            let options = ServeOptions { migrate, take_over, workers, cores: cores.share() };
            serve_on(workers.threads, serve(settings, options))
        }
        Command::Edge => {
            let followed = settings.edge.followed(settings.subscription.copy_max_age)?;
            start_logging(settings.log);
            let workers = settings.threads.workers(Cores::detect().whole());
            serve_on(workers.threads, serve_edge(settings, followed))
        }
        Command::Tool(tool) => {
            let runtime = Builder::new_current_thread().enable_all().build().context("could not start the runtime")?;
            let done = runtime.block_on(cli::run(tool, &settings, render_context::read, api::endpoints, PREFLIGHT));
            // A thread that still writes a file which nobody wants any more removes it. One may be blocked in a system call.
            runtime.shutdown_timeout(LAST_WRITES);
            done
        }
    }
}

/// Runs a server on this number of worker threads.
fn serve_on(threads: usize, server: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = serve_runtime(threads)?;
    let result = runtime.block_on(server);
    // Don't wait for threads that are blocked in a system call.
    runtime.shutdown_background();
    result
}

/// Starts a runtime with this number of worker threads.
fn serve_runtime(count: usize) -> anyhow::Result<Runtime> {
    let names = AtomicUsize::new(1);
    let name = move || format!("sarban-worker-{}", names.fetch_add(1, Ordering::Relaxed));
    let runtime = Builder::new_multi_thread().worker_threads(count).thread_name_fn(name).enable_all().build();
    runtime.with_context(|| format!("could not start {count} worker threads; lower UVICORN_WORKERS"))
}
