//! Settings for the log.

use std::str::FromStr;

use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use super::values::parsed;

/// Level and format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct LogSettings {
    #[serde(rename = "log_level", deserialize_with = "parsed::<_, Level>")]
    level: Level,
    /// Format of a line.
    #[serde(rename = "log_format", deserialize_with = "parsed")]
    pub format: LogFormat,
}

impl LogSettings {
    /// Returns the least severe level that is logged.
    pub const fn level(self) -> LevelFilter {
        self.level.0
    }
}

/// Format of the log's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable text.
    Text,
    /// One JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json".to_owned()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level(LevelFilter);

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "off" => Ok(LevelFilter::OFF),
            // The last two are Python's.
            "error" | "critical" | "fatal" => Ok(LevelFilter::ERROR),
            "warn" | "warning" => Ok(LevelFilter::WARN),
            "info" => Ok(LevelFilter::INFO),
            "debug" => Ok(LevelFilter::DEBUG),
            "trace" => Ok(LevelFilter::TRACE),
            _ => Err("must be off, error, warn, info, debug or trace".to_owned()),
        }
        .map(Self)
    }
}
