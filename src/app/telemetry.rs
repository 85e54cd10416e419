//! Starts the log and the metrics of a process.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::log::{LogFormat, LogSettings};
use crate::config::memory::Memory;

/// Upper bounds of the histogram buckets for durations, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Starts the log on standard error. Libraries log warnings and errors only.
pub fn start_logging(settings: LogSettings) {
    let level = settings.level();
    let filter = EnvFilter::new(format!("warn,sarban={level}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // If the log can't be written (a full disk, a closed pipe), reporting that on standard error would panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start, in tests, changes nothing.
    let _ = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Starts collecting metrics; the handle renders them. Call it within a runtime.
pub(super) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let handle = PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS)?.install_recorder()?;
    let keeper = handle.clone();
    tokio::spawn(async move {
        // Without upkeep, histograms that nobody scrapes grow.
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            keeper.run_upkeep();
        }
    });
    if let Some(limit) = Memory::detect().limit {
        metrics::gauge!("process_memory_limit_bytes").set(limit as f64);
    }
    tokio::spawn(async {
        loop {
            measure_process();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    Ok(handle)
}

/// Measures memory and open files of this process, under the names of Prometheus's own libraries.
fn measure_process() {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(kib) = resident_kib(&status)
    {
        metrics::gauge!("process_resident_memory_bytes").set(kib * 1024.0);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the open folder itself.
        metrics::gauge!("process_open_fds").set(open.count().saturating_sub(1) as f64);
    }
}

/// Reads the line `VmRSS:     1234 kB` of `/proc/self/status`.
fn resident_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_resident_memory() {
        assert_eq!(resident_kib("VmHWM:\t 99 kB\nVmRSS:\t   1234 kB\n"), Some(1234.0));
        assert_eq!(resident_kib("Name: x"), None);
        let here = std::fs::read_to_string("/proc/self/status").expect("Linux");
        assert!(resident_kib(&here) > Some(1_000.0));
    }
}
