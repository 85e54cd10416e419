//! The program: parses the command line, reads the settings, sizes the runtime, and sets the exit code.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use clap::Parser;
use sarban::api;
use sarban::app::{self, ServeOptions};
use sarban::cli::{self, Cli, Command, Usage};
use sarban::config::cores::Cores;
use sarban::config::{Settings, SettingsErrors};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Wrong usage or settings; clap's own code for the former.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    match run(Cli::parse().command()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in format!("{error:#}").lines() {
                eprintln!("sarban: {line}");
            }
            let usage = error.is::<SettingsErrors>() || error.is::<Usage>();
            if usage { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    // Only the first provider counts, and nothing can have installed one before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match command {
        Command::Serve(args) => {
            app::start_logging(settings.log);
            let cores = Cores::detect();
            let workers = settings.threads.workers(cores.whole());
            let (migrate, take_over) = (!args.no_migrate, args.take_over);
            let options = ServeOptions { migrate, take_over, workers, cores: cores.share() };
            let runtime = threads(workers.threads)?;
            let served = runtime.block_on(app::serve(settings, options));
            // What hangs in a system call must not hold up the end.
            runtime.shutdown_background();
            served
        }
        Command::Tool(tool) => {
            let runtime = Builder::new_current_thread().enable_all().build().context("the runtime can't be started")?;
            runtime.block_on(cli::run(tool, &settings, app::read_render_context, api::endpoints))
        }
    }
}

/// A runtime with so many worker threads.
fn threads(count: usize) -> anyhow::Result<Runtime> {
    let names = AtomicUsize::new(1);
    let name = move || format!("sarban-worker-{}", names.fetch_add(1, Ordering::Relaxed));
    let runtime = Builder::new_multi_thread().worker_threads(count).thread_name_fn(name).enable_all().build();
    runtime.with_context(|| format!("{count} worker threads can't be started; lower UVICORN_WORKERS"))
}
