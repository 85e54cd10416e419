//! The log and the metrics of a process.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::log::{LogFormat, LogSettings};

/// Starts the log, on standard error. Libraries are heard from the level `warn` on, unless the level is lower still.
pub fn start_logging(settings: LogSettings) {
    let level = settings.level();
    let filter = EnvFilter::new(format!("warn,sarban={level}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start (in tests) leaves the first one in force.
    let _ = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Starts collecting metrics; the handle renders them.
pub(super) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    Ok(PrometheusBuilder::new().install_recorder()?)
}
