//! Memory within bounds: what the process itself reports, before and after the load.

use reqwest::Method;

use super::Finding;
use super::panel::Panel;
use crate::config::Settings;

const RESIDENT: &str = "process_resident_memory_bytes ";
const LIMIT: &str = "process_memory_limit_bytes ";
/// What caches and connections that the load filled may come to.
const GROWTH_MB: u64 = 128;

/// A process's memory in MiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    resident: u64,
    /// Above it the kernel ends the process; none is known of one without control groups.
    limit: Option<u64>,
}

/// What the panel says of its own.
pub(super) async fn used(panel: &Panel, settings: &Settings) -> Result<Used, String> {
    let answer = panel.ask(Method::GET, "/metrics", settings.http.metrics_token.as_ref()).await?;
    if answer.status != 200 {
        return Err(format!(
            "/metrics answers {}: give the panel's own address and METRICS_TOKEN, as the panel has it",
            answer.status
        ));
    }
    let text = answer.body.as_str().unwrap_or_default();
    let resident = megabytes(text, RESIDENT).ok_or("/metrics does not tell the memory")?;
    Ok(Used { resident, limit: megabytes(text, LIMIT) })
}

fn megabytes(metrics: &str, name: &str) -> Option<u64> {
    let bytes: f64 = metrics.lines().find_map(|line| line.strip_prefix(name))?.parse().ok()?;
    // A whole number of bytes, far below 2⁵³.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some(bytes as u64 / 1_048_576)
}

pub(super) fn within(before: Result<Used, String>, after: Result<Used, String>, bound: u64) -> Finding {
    let (before, after) = (before?, after?);
    let limit = after.limit.map(|limit| format!(", limit {limit} MB")).unwrap_or_default();
    let measured = format!("{} MB after the load, {} MB before{limit}", after.resident, before.resident);
    if after.resident > bound {
        Err(format!("{measured}: above {bound} MB"))
    } else if after.limit.is_some_and(|limit| after.resident > limit / 10 * 9) {
        Err(format!("{measured}: too close to the limit, above which the kernel ends the panel"))
    } else if after.resident > before.resident + GROWTH_MB {
        Err(format!("{measured}: {GROWTH_MB} MB more are too many"))
    } else {
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_three_bounds() {
        let used = |resident, limit| Ok(Used { resident, limit });
        assert_eq!(
            within(used(60, Some(256)), used(70, Some(256)), 512).as_deref(),
            Ok("70 MB after the load, 60 MB before, limit 256 MB")
        );
        for (before, after, limit, bound, wrong) in [
            (60, 70, None, 64, "above 64 MB"),
            (200, 240, Some(256), 512, "too close to the limit"),
            (60, 200, None, 512, "128 MB more are too many"),
        ] {
            let found = within(used(before, limit), used(after, limit), bound).unwrap_err();
            assert!(found.contains(wrong), "{found}");
        }
    }

    #[test]
    fn metrics_are_found_by_their_whole_name() {
        let text = "# TYPE x gauge\nprocess_resident_memory_bytes 73400320\nprocess_memory_limit_bytes 268435456\n";
        assert_eq!((megabytes(text, RESIDENT), megabytes(text, LIMIT)), (Some(70), Some(256)));
        assert_eq!(megabytes("", LIMIT), None);
    }
}
