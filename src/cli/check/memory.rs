//! Memory within bounds: the panel's own metrics before and after the load.

use reqwest::Method;

use super::panel::Panel;
use super::report::StepResult;
use crate::cli::output::whole_mib;
use crate::config::Settings;

const RESIDENT: &str = "process_resident_memory_bytes ";
const LIMIT: &str = "process_memory_limit_bytes ";
/// Maximum growth under load: caches and connections.
const GROWTH_MB: u64 = 128;

/// Memory of the panel's process, in MiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    resident: u64,
    /// Limit of the cgroup, above which the kernel kills the process.
    limit: Option<u64>,
}

/// Reads the memory from `/metrics`.
pub(super) async fn read(panel: &Panel, settings: &Settings) -> Result<Usage, String> {
    let response = panel.request(Method::GET, "/metrics", settings.http.metrics_token.as_ref()).await?;
    if response.status != 200 {
        return Err(format!(
            "GET /metrics responds {}: set METRICS_TOKEN as on the panel, or give --url without a proxy in between",
            response.status
        ));
    }
    let text = response.body.as_str().unwrap_or_default();
    let resident = megabytes(text, RESIDENT).ok_or("/metrics has no process_resident_memory_bytes")?;
    Ok(Usage { resident, limit: megabytes(text, LIMIT) })
}

fn megabytes(metrics: &str, name: &str) -> Option<u64> {
    let bytes: f64 = metrics.lines().find_map(|line| line.strip_prefix(name))?.parse().ok()?;
    // A whole number of bytes, far below 2⁵³, so that the cast is exact.
    Some(whole_mib(bytes as u64))
}

/// Compares the memory after the load with `bound`, with the limit of the cgroup, and with the memory before the load.
pub(super) fn within_bounds(before: Result<Usage, String>, after: Result<Usage, String>, bound: u64) -> StepResult {
    let (before, after) = (before?, after?);
    let limit = after.limit.map(|limit| format!(", limit {limit} MB")).unwrap_or_default();
    let measured = format!("{} MB after the load, {} MB before{limit}", after.resident, before.resident);
    if after.resident > bound {
        Err(format!("{measured}: above {bound} MB"))
    } else if after.limit.is_some_and(|limit| after.resident > limit / 10 * 9) {
        Err(format!("{measured}: too close to the limit, above which the kernel kills the panel"))
    } else if after.resident > before.resident + GROWTH_MB {
        Err(format!("{measured}: grew by more than {GROWTH_MB} MB"))
    } else {
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_limit_and_growth_are_checked() {
        let used = |resident, limit| Ok(Usage { resident, limit });
        assert_eq!(
            within_bounds(used(60, Some(256)), used(70, Some(256)), 512).as_deref(),
            Ok("70 MB after the load, 60 MB before, limit 256 MB")
        );
        for (before, after, limit, bound, wrong) in [
            (60, 70, None, 64, "above 64 MB"),
            (200, 240, Some(256), 512, "too close to the limit"),
            (60, 200, None, 512, "grew by more than 128 MB"),
        ] {
            let found = within_bounds(used(before, limit), used(after, limit), bound).unwrap_err();
            assert!(found.contains(wrong), "{found}");
        }
    }

    #[test]
    fn metrics_are_found_by_their_full_name() {
        let text = "# TYPE x gauge\nprocess_resident_memory_bytes 73400320\nprocess_memory_limit_bytes 268435456\n";
        assert_eq!((megabytes(text, RESIDENT), megabytes(text, LIMIT)), (Some(70), Some(256)));
        assert_eq!(megabytes("", LIMIT), None);
    }
}
