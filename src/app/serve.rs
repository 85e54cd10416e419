//! `sarban serve`: the phases of a panel, from its settings to a clean end.

use super::phases::Listening;
use super::serve_options::ServeOptions;
use super::{descriptors, read_only, telemetry};
use crate::config::file_modes::Exposed;
use crate::config::{Settings, file_modes};

/// Runs the panel until a signal.
pub async fn serve(settings: Settings, options: ServeOptions) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics()?;
    tracing::info!(
        cores = options.cores,
        workers = options.workers.threads,
        version = env!("CARGO_PKG_VERSION"),
        "{}",
        options.workers
    );
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    descriptors::raise_limit();
    let listening = Listening::bind(&settings, options.take_over).await?;
    if settings.http.read_only {
        warn_of(&file_modes::find(&settings));
        return read_only::serve(&settings, listening.acceptor, metrics).await;
    }
    let Some(connected) = listening.connect(&settings, options.migrate, &metrics).await? else { return Ok(()) };
    warn_of(&file_modes::secure(&settings));
    let running = connected.start(&settings, options, metrics).await?;
    let stopping = running.serve().await;
    stopping.close().await
}

fn warn_of(exposed: &[Exposed]) {
    for file in exposed {
        tracing::warn!("{file}");
    }
}
