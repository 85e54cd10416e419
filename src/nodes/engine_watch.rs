//! Restarts an engine with a configuration and watches whether it then runs.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::connection::NodeConnection;
use super::node_error::NodeError;
use super::proto::BackendConfig;
use crate::domain::engine_log::LogExcerpt;

/// Longest time that a restart takes: engines load lists of domains and networks.
pub const RESTART_LIMIT: Duration = Duration::from_secs(60);
/// Time for which an engine must run to count as started, if its log does not say so.
pub const STEADY: Duration = Duration::from_secs(5);
/// Time for which an engine must run after its log said that it started. Some end soon afterwards, when they get their first
/// connection or run out of memory.
const AFTER_START: Duration = Duration::from_secs(3);
/// Time in which an engine that does not run may still be started by its node.
const START_LIMIT: Duration = Duration::from_millis(1_500);
const POLL: Duration = Duration::from_millis(100);
/// Time in which the last lines of an engine that ended may still arrive.
const LAST_LINES: Duration = Duration::from_millis(1_500);
/// Time limit for the lines that a node has buffered.
const BUFFER_LIMIT: Duration = Duration::from_secs(1);
/// Lines on their way from the node. More lines wait at the node.
const LINES: usize = 256;

/// Why an engine does not run after a restart, or why that is not known.
#[derive(Debug)]
pub enum RestartFailure {
    /// The engine ended. Its own words, as far as its log has any.
    Ended(String),
    /// The node answered the restart with an error. The engine's own words, if its log has any.
    Raised(NodeError, Option<String>),
    /// The connection broke or the node did not answer: nothing is known about the engine.
    Lost(NodeError),
}

/// Restarts an engine and watches whether it runs. `called` is dropped when the node has answered the restart.
pub async fn restart<T>(
    connection: &NodeConnection,
    engine: &str,
    config: BackendConfig,
    called: T,
) -> Result<(), RestartFailure> {
    let mut log = EngineLog::follow(connection, engine).await;
    // A node answers the request for a log only with a first line. An answer to a later call shows that it has the request.
    connection.backend_stats(engine.to_owned()).await.ok();
    let answer = connection.restart_backend(engine.to_owned(), config, RESTART_LIMIT).await;
    drop(called);
    match answer {
        Ok(()) => match log.watch(connection, engine).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(RestartFailure::Ended(log.last_words(connection, engine).await)),
            Err(error) => Err(RestartFailure::Lost(error)),
        },
        Err(error @ NodeError::Refused { .. }) => Err(RestartFailure::Raised(error, log.last_reason().await)),
        Err(error) => Err(RestartFailure::Lost(error)),
    }
}

/// Reads why an engine ended from the lines that its node has buffered. `None`: they do not say so.
pub async fn buffered_reason(connection: &NodeConnection, engine: &str) -> Option<String> {
    let mut excerpt = LogExcerpt::default();
    let reading = async {
        let mut log = pin!(connection.clone().backend_logs(engine.to_owned(), true));
        while let Some(Ok(line)) = log.next().await {
            excerpt.push(&line);
        }
    };
    // A log has no end.
    timeout(BUFFER_LIMIT, reading).await.ok();
    excerpt.reason()
}

/// The log of an engine from now on.
struct EngineLog {
    lines: mpsc::Receiver<String>,
    excerpt: LogExcerpt,
    _reading: AbortOnDropHandle<()>,
}

impl EngineLog {
    async fn follow(connection: &NodeConnection, engine: &str) -> Self {
        let (sender, lines) = mpsc::channel(LINES);
        let mut log = Box::pin(connection.clone().backend_logs(engine.to_owned(), false));
        // The request is on its way before any later call.
        let first = poll_immediate(log.next()).await.flatten();
        let reading = tokio::spawn(async move {
            if let Some(Ok(line)) = first {
                sender.send(line).await.ok();
            }
            while let Some(Ok(line)) = log.next().await {
                if sender.send(line).await.is_err() {
                    return;
                }
            }
        });
        Self { lines, excerpt: LogExcerpt::default(), _reading: AbortOnDropHandle::new(reading) }
    }

    /// Reads the lines that have arrived.
    fn read(&mut self) -> &LogExcerpt {
        while let Ok(line) = self.lines.try_recv() {
            self.excerpt.push(&line);
        }
        &self.excerpt
    }

    /// Returns false as soon as the engine has ended, and true when it has run for long enough.
    async fn watch(&mut self, connection: &NodeConnection, engine: &str) -> Result<bool, NodeError> {
        let restarted = Instant::now();
        let (mut has_run, mut started) = (false, None);
        loop {
            let log = self.read();
            // Some nodes report an engine as running whose log says that it ended.
            if log.has_failed() {
                return Ok(false);
            }
            if log.has_started() {
                started.get_or_insert_with(Instant::now);
            }
            match connection.backend_stats(engine.to_owned()).await {
                Ok(stats) if stats.running => has_run = true,
                Ok(_) if has_run || restarted.elapsed() >= START_LIMIT => return Ok(false),
                Ok(_) => {
                    sleep(POLL).await;
                    continue;
                }
                // A node that can't say so.
                Err(NodeError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
            let is_steady = restarted.elapsed() >= STEADY;
            if is_steady || started.is_some_and(|started| started.elapsed() >= AFTER_START) {
                return Ok(!self.read().has_failed());
            }
            sleep(POLL).await;
        }
    }

    /// Returns the reason of an engine that has ended. `None`: it does not arrive in time.
    async fn last_reason(&mut self) -> Option<String> {
        let end = Instant::now() + LAST_LINES;
        while !self.read().has_failed() && Instant::now() < end {
            sleep(POLL).await;
        }
        self.read().reason()
    }

    /// Returns the words of an engine that has ended.
    async fn last_words(&mut self, connection: &NodeConnection, engine: &str) -> String {
        if let Some(reason) = self.last_reason().await {
            return reason;
        }
        if let Some(reason) = buffered_reason(connection, engine).await {
            return reason;
        }
        self.read().quotation().unwrap_or_else(|| "the engine ended and wrote nothing to its log".to_owned())
    }
}
