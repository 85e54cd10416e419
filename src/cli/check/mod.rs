//! `sarban check`: the five validation steps on a running panel, each really measured: it starts, every endpoint
//! answers, tasks run once, it is fast under load, its memory stays within bounds. Nothing is changed on the panel.

mod endpoints;
mod load;
mod memory;
mod panel;
mod tasks;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::panel::Panel;
use super::{Usage, output, terminal};
use crate::config::Settings;

/// Each method and path of the API, as `(GET, /api/users/:username)`.
pub type Endpoints = Vec<(String, String)>;

/// What to check.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The panel's address, such as http://127.0.0.1:8000
    #[arg(long)]
    url: String,
    /// A sudo; the password is asked for, or read from SARBAN_ADMIN_PASSWORD
    #[arg(short, long)]
    username: Option<String>,
    /// So many seconds of load by 32 clients; without it, two seconds by 4
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    load: Option<u64>,
    /// At most so many seconds of watching the tasks
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: u64,
    /// Under load 95 of 100 requests must be faster
    #[arg(long, value_name = "MS", default_value_t = 500)]
    p95: u64,
    /// The panel's process may have so much memory
    #[arg(long, value_name = "MB", default_value_t = 512)]
    memory: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a step went.
#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    passed: bool,
    measured: String,
}

/// What a step found: what was measured, or what is wrong.
type Finding = Result<String, String>;

pub(super) async fn run(args: CheckArgs, settings: &Settings, endpoints: Endpoints) -> anyhow::Result<()> {
    if !(args.url.starts_with("http://") || args.url.starts_with("https://")) {
        return Err(Usage("--url must be the panel's address, such as http://127.0.0.1:8000".to_owned()).into());
    }
    let username = terminal::username(args.username.clone())?;
    let password = terminal::known_password(settings)?;
    let mut report = Report { json: args.json, steps: Vec::new() };
    let mut panel = Panel::at(&args.url)?;

    report.begin("starts");
    let started = starts(&panel).await;
    let gone = started.is_err();
    report.end("starts", started)?;
    if gone {
        anyhow::bail!("the panel at {} does not work; nothing else was asked", args.url);
    }
    panel.sign_in(&username, &password).await?;

    report.begin("endpoints");
    report.end("endpoints", endpoints::all_answer(&panel, &endpoints).await)?;
    report.begin("tasks");
    report.end("tasks", tasks::run_once(&panel, Duration::from_secs(args.watch)).await)?;
    report.begin("speed");
    let before = memory::used(&panel, settings).await;
    let (clients, time) = args.load.map_or((4, 2), |seconds| (32, seconds));
    let speed = load::measure(&panel, clients, Duration::from_secs(time), Duration::from_millis(args.p95)).await;
    report.end("speed", speed)?;
    report.begin("memory");
    let after = memory::used(&panel, settings).await;
    report.end("memory", memory::within(before, after, args.memory))?;
    report.close()
}

/// It is alive and ready.
async fn starts(panel: &Panel) -> Finding {
    let live = panel.get("/health/live").await?;
    if live.status != 200 {
        return Err(format!("/health/live answers {}", live.status));
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
        Err(format!("/health/ready answers {}: {parts}", ready.status))
    }
}

/// A line for each step, or JSON at the end.
struct Report {
    json: bool,
    steps: Vec<Step>,
}

impl Report {
    /// A person sees what is going on.
    fn begin(&self, name: &str) {
        if !self.json && io::stderr().is_terminal() {
            // Whether it can be shown does not matter.
            let _ = write!(io::stderr(), "… {name}\r");
        }
    }

    fn end(&mut self, name: &'static str, finding: Finding) -> io::Result<()> {
        let passed = finding.is_ok();
        let measured = finding.unwrap_or_else(|wrong| wrong);
        if !self.json {
            let sign = if passed { "✓" } else { "✗" };
            output::line(format_args!("{sign} {name:<10} {}", output::plain(&measured)))?;
        }
        self.steps.push(Step { name, passed, measured });
        Ok(())
    }

    fn close(self) -> anyhow::Result<()> {
        if self.json {
            output::json(&self.steps)?;
        }
        match self.steps.iter().filter(|step| !step.passed).count() {
            0 => Ok(()),
            1 => anyhow::bail!("one step of {} did not pass", self.steps.len()),
            wrong => anyhow::bail!("{wrong} steps of {} did not pass", self.steps.len()),
        }
    }
}
