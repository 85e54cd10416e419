//! Memory within bounds: what the process itself reports, before and after the load.

use reqwest::Method;

use super::Finding;
use super::panel::Panel;
use crate::config::Settings;

const METRIC: &str = "process_resident_memory_bytes ";
/// What caches and connections that the load filled may come to.
const GROWTH_MB: u64 = 128;

/// Resident memory in MiB.
pub(super) async fn resident(panel: &Panel, settings: &Settings) -> Result<u64, String> {
    let answer = panel.ask(Method::GET, "/metrics", settings.http.metrics_token.as_ref()).await?;
    if answer.status != 200 {
        return Err(format!(
            "/metrics answers {}: give the panel's own address and METRICS_TOKEN, as the panel has it",
            answer.status
        ));
    }
    let text = answer.body.as_str().unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(METRIC)).and_then(|value| value.parse::<f64>().ok());
    // A whole number of bytes, far below 2⁵³.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    value.map(|bytes| bytes as u64 / 1_048_576).ok_or_else(|| "/metrics does not tell the memory".to_owned())
}

pub(super) fn within(before: Result<u64, String>, after: Result<u64, String>, bound: u64) -> Finding {
    let (before, after) = (before?, after?);
    let measured = format!("{after} MB after the load, {before} MB before");
    if after > bound {
        Err(format!("{measured}: above {bound} MB"))
    } else if after > before + GROWTH_MB {
        Err(format!("{measured}: {GROWTH_MB} MB more are too many"))
    } else {
        Ok(measured)
    }
}
