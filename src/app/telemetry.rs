//! Starts the log and the metrics of a process.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::log_format::{JsonLine, TextFields};
use crate::config::log::{LogFormat, LogSettings};
use crate::config::memory::Memory;

/// Upper bounds of the histogram buckets for durations, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Starts the log on standard error. Libraries log warnings and errors only.
pub fn start_logging(settings: LogSettings) {
    // A second start, in tests, changes nothing.
    let _ = log(settings, std::io::stderr, std::io::stderr().is_terminal()).try_init();
}

fn log<W>(settings: LogSettings, writer: W, is_terminal: bool) -> Dispatch
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let level = settings.level();
    let filter = EnvFilter::new(format!("warn,sarban={level}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // If the log can't be written (a full disk, a closed pipe), reporting that on standard error would panic.
        .log_internal_errors(false)
        .with_writer(writer)
        .with_ansi(is_terminal);
    match settings.format {
        LogFormat::Text => builder.fmt_fields(TextFields::default()).into(),
        LogFormat::Json => builder.json().flatten_event(true).map_event_format(JsonLine).into(),
    }
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
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde::Deserialize as _;
    use serde::de::value::MapDeserializer;

    use super::*;
    use crate::foundation::{is_steering, lock};

    /// Returns what is logged of texts that try to forge a line, move the cursor and reverse the text.
    fn logged(format: &str, is_terminal: bool) -> String {
        let text = "a\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{9b}1m\u{2028}\u{202e}z";
        let settings = LogSettings::deserialize(MapDeserializer::<_, serde::de::value::Error>::new(
            [("log_level", "debug"), ("log_format", format)].into_iter(),
        ));
        let (lines, writer) = (Arc::new(Mutex::new(Vec::new())), |lines: Arc<Mutex<Vec<u8>>>| Writer(lines));
        let into = lines.clone();
        let log = log(settings.expect("settings"), move || writer(into.clone()), is_terminal);
        tracing::dispatcher::with_default(&log, || {
            let span = tracing::info_span!(target: "sarban", "request", id = %text, other = text);
            let error = std::io::Error::other(text);
            span.in_scope(|| {
                tracing::warn!(target: "sarban", node = %text, version = text, error = &error as &dyn std::error::Error,
                               debug = ?text, "refused: {text}");
            });
        });
        let bytes = lock(&lines).clone();
        String::from_utf8(bytes).expect("text")
    }

    struct Writer(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn logged_text_breaks_no_line_and_steers_no_terminal() {
        for format in ["text", "json"] {
            let line = logged(format, false);
            let one = line.strip_suffix('\n').expect("an end");
            assert!(!one.contains(is_steering), "{format}: {one:?}");
            assert!(one.matches("forged").count() >= 7, "{format}: message, fields and span: {one}");
        }
        let json: serde_json::Value = serde_json::from_str(&logged("json", false)).expect("JSON");
        assert_eq!(json["node"], "a\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{9b}1m\u{2028}\u{202e}z");
        // On a terminal only the program's own colours are left.
        let coloured = logged("text", true);
        let rest: Vec<&str> = coloured.split('\u{1b}').skip(1).collect();
        assert!(
            rest.iter().all(|code| code.starts_with('[')
                && code[1..]
                    .split('m')
                    .next()
                    .is_some_and(|number| number.len() <= 2 && number.bytes().all(|digit| digit.is_ascii_digit()))),
            "{coloured:?}"
        );
        assert_eq!(coloured.matches('\n').count(), 1, "{coloured:?}");
    }
}
