//! Speed under load: clients that ask without pause, for a list of users and, where there is a user, a subscription.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Finding;
use super::panel::Panel;

pub(super) async fn measure(panel: &Panel, clients: usize, time: Duration, bound: Duration) -> Finding {
    let paths = paths(panel).await?;
    let begun = Instant::now();
    let end = begun + time;
    let mut asking = JoinSet::new();
    for client in 0..clients {
        asking.spawn(ask_until(panel.clone(), paths.clone(), client, end));
    }
    let mut times = Vec::new();
    let mut wrong: Option<String> = None;
    while let Some(ended) = asking.join_next().await {
        let (its_times, its_wrong) = ended.map_err(|error| format!("a client broke off: {error}"))?;
        times.extend(its_times);
        wrong = wrong.or(its_wrong);
    }
    if let Some(wrong) = wrong {
        return Err(format!("under load {wrong}"));
    }
    times.sort_unstable();
    let part =
        |hundredths: usize| times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1))).copied();
    let (Some(p50), Some(p95), Some(p99)) = (part(50), part(95), part(99)) else {
        return Err("no request was answered".to_owned());
    };
    let measured = format!(
        "{:.0} requests/s by {clients} clients; p50 {} ms, p95 {} ms, p99 {} ms",
        times.len() as f64 / begun.elapsed().as_secs_f64(),
        p50.as_millis(),
        p95.as_millis(),
        p99.as_millis()
    );
    if p95 <= bound { Ok(measured) } else { Err(format!("{measured}: p95 is above {} ms", bound.as_millis())) }
}

async fn ask_until(panel: Panel, paths: Vec<String>, client: usize, end: Instant) -> (Vec<Duration>, Option<String>) {
    let mut times = Vec::new();
    for path in paths.iter().cycle().skip(client) {
        if Instant::now() >= end {
            break;
        }
        match panel.get(path).await {
            Ok(answer) if answer.status == 200 => times.push(answer.time),
            Ok(answer) => return (times, Some(format!("GET {path} answers {}", answer.status))),
            Err(wrong) => return (times, Some(wrong)),
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
