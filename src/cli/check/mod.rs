//! `sarban check`: seven steps that check a running panel, without changing it: readiness, endpoints, the cluster,
//! scheduled tasks, speed under load, memory, modes of files.

mod cluster;
mod endpoints;
mod files;
mod load;
mod memory;
mod panel;
mod report;
mod tasks;

use std::time::Duration;

use clap::Args;

pub use self::endpoints::Endpoints;
use self::load::Load;
use self::panel::Panel;
use self::report::{Report, StepResult};
use super::preflight::Problems;
use super::terminal;
use super::usage_error::UsageError;
use crate::config::Settings;

/// Arguments of `sarban check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Address of the panel, such as http://127.0.0.1:8000
    #[arg(long)]
    url: String,
    /// Name of a sudo admin; the password is read from SARBAN_ADMIN_PASSWORD, or asked for
    #[arg(short, long)]
    username: Option<String>,
    /// Duration of the load from 32 clients; without this option, 4 clients for 2 seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    load: Option<u64>,
    /// Maximum time to watch the tasks
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: u64,
    /// Maximum response time of 95 % of the requests under load
    #[arg(long, value_name = "MS", default_value_t = 500)]
    p95: u64,
    /// Maximum memory of the panel's process
    #[arg(long, value_name = "MB", default_value_t = 512)]
    memory: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    args: CheckArgs,
    settings: &Settings,
    endpoints: Endpoints,
    problems: Problems,
) -> anyhow::Result<()> {
    if !(args.url.starts_with("http://") || args.url.starts_with("https://")) {
        return Err(UsageError::new("--url must be the address of the panel, such as http://127.0.0.1:8000").into());
    }
    let username = terminal::username(args.username.clone())?;
    let password = terminal::existing_password(settings)?;
    let mut report = Report::new(args.json);
    let mut panel = Panel::at(&args.url)?;

    report.begin("starts");
    let ready = is_ready(&panel).await;
    let failed = ready.is_err();
    report.end("starts", ready)?;
    if failed {
        anyhow::bail!("the panel at {} is not ready; the other steps were skipped", args.url);
    }
    panel.sign_in(&username, &password).await?;

    report.begin("endpoints");
    report.end("endpoints", endpoints::all_respond(&panel, &endpoints).await)?;
    report.begin("cluster");
    report.end("cluster", cluster::is_sound(&panel).await)?;
    report.begin("tasks");
    report.end("tasks", tasks::run_once(&panel, Duration::from_secs(args.watch)).await)?;
    report.begin("speed");
    let before = memory::read(&panel, settings).await;
    let (clients, seconds) = args.load.map_or((4, 2), |seconds| (32, seconds));
    let load = Load { clients, time: Duration::from_secs(seconds) };
    report.end("speed", load.measure(&panel, Duration::from_millis(args.p95)).await)?;
    report.begin("memory");
    let after = memory::read(&panel, settings).await;
    report.end("memory", memory::within_bounds(before, after, args.memory))?;
    report.end("files", files::are_private(settings))?;
    report.finish()?;
    problems.into_result()
}

/// Requests `/health/live` and `/health/ready`.
async fn is_ready(panel: &Panel) -> StepResult {
    let live = panel.get("/health/live").await?;
    if live.status != 200 {
        return Err(format!("GET /health/live responds {}", live.status));
    }
    let ready = panel.get("/health/ready").await?;
    let part = |name: &str| ready.body[name].as_str().unwrap_or("?").to_owned();
    let parts = format!(
        "{}, database {}, redis {}, scheduler {}",
        part("status"),
        part("database"),
        part("redis"),
        part("scheduler")
    );
    if ready.status == 200 {
        Ok(format!("alive in {} ms; {parts}", live.time.as_millis()))
    } else {
        Err(format!("GET /health/ready responds {}: {parts}", ready.status))
    }
}
