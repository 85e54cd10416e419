//! Speed under load: clients that request a list of users and, if there is a user, a subscription, without a pause.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::panel::Panel;
use super::report::StepResult;

/// The load that is put on the panel.
pub(super) struct Load {
    pub clients: usize,
    pub time: Duration,
}

impl Load {
    /// Measures the response times; the 95th percentile must not exceed `limit`.
    pub(super) async fn measure(&self, panel: &Panel, limit: Duration) -> StepResult {
        let paths = paths(panel).await?;
        let start = Instant::now();
        let end = start + self.time;
        let mut clients = JoinSet::new();
        for client in 0..self.clients {
            clients.spawn(request_until(panel.clone(), paths.clone(), client, end));
        }
        let mut times = Vec::new();
        let mut failure: Option<String> = None;
        while let Some(finished) = clients.join_next().await {
            let (its_times, its_failure) = finished.map_err(|error| format!("a client panicked: {error}"))?;
            times.extend(its_times);
            failure = failure.or(its_failure);
        }
        if let Some(failure) = failure {
            return Err(format!("under load, {failure}"));
        }
        let throughput = times.len() as f64 / start.elapsed().as_secs_f64();
        self.summary(times, throughput, limit)
    }

    fn summary(&self, mut times: Vec<Duration>, throughput: f64, limit: Duration) -> StepResult {
        times.sort_unstable();
        let percentile = |percent: usize| times.get(times.len() * percent / 100).copied();
        let (Some(p50), Some(p95), Some(p99)) = (percentile(50), percentile(95), percentile(99)) else {
            return Err("no response within the time".to_owned());
        };
        let measured = format!(
            "{throughput:.0} requests/s by {} clients; p50 {} ms, p95 {} ms, p99 {} ms",
            self.clients,
            p50.as_millis(),
            p95.as_millis(),
            p99.as_millis()
        );
        if p95 <= limit { Ok(measured) } else { Err(format!("{measured}: p95 is above {} ms", limit.as_millis())) }
    }
}

/// Sends requests until `end` or the first failure. Returns the response times and the failure.
async fn request_until(
    panel: Panel,
    paths: Vec<String>,
    client: usize,
    end: Instant,
) -> (Vec<Duration>, Option<String>) {
    let mut times = Vec::new();
    // Clients start at different paths.
    for path in paths.iter().cycle().skip(client) {
        if Instant::now() >= end {
            break;
        }
        match panel.get(path).await {
            Ok(response) if response.status == 200 => times.push(response.time),
            Ok(response) => return (times, Some(format!("GET {path} responds {}", response.status))),
            Err(failure) => return (times, Some(failure)),
        }
    }
    (times, None)
}

async fn paths(panel: &Panel) -> Result<Vec<String>, String> {
    let mut paths = vec!["/api/users?size=10".to_owned()];
    let users = panel.get(&paths[0]).await?;
    let user = &users.body["items"][0];
    if let (Some(username), Some(key)) = (user["username"].as_str(), user["key"].as_str()) {
        paths.push(format!("/sub/{username}/{key}/links"));
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_has_percentiles_and_fails_above_the_limit() {
        let load = Load { clients: 4, time: Duration::ZERO };
        let times = || (1..=100).rev().map(Duration::from_millis).collect::<Vec<_>>();
        let limit = Duration::from_millis(96);
        let measured = "50 requests/s by 4 clients; p50 51 ms, p95 96 ms, p99 100 ms";
        assert_eq!(load.summary(times(), 50.0, limit).as_deref(), Ok(measured));
        let failure = load.summary(times(), 50.0, Duration::from_millis(95)).unwrap_err();
        assert_eq!(failure, format!("{measured}: p95 is above 95 ms"));
        assert!(load.summary(Vec::new(), 0.0, limit).is_err());
    }
}
