//! The command line: what may be asked for, and everything but `serve` itself, which `app` does.

mod admin;
mod any_certificate;
mod check;
mod completions;
mod database;
mod export;
mod healthcheck;
mod import;
mod migrate;
mod output;
mod plan;
mod subscription;
mod terminal;
mod user;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use self::admin::AdminCommand;
pub use self::check::{CheckArgs, Endpoints};
pub use self::export::ExportArgs;
pub use self::import::ImportArgs;
pub use self::plan::{Plan, PlanArgs};
pub use self::subscription::SubscriptionCommand;
pub use self::user::UserCommand;
use crate::actions::subscriptions::RenderContext;
use crate::config::Settings;

/// What was asked for.
#[derive(Debug, Parser)]
#[command(
    name = "sarban",
    version,
    about = "A panel for fleets of proxy servers",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

/// A command with its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the panel (what happens without a command)
    Serve(ServeArgs),
    /// One of those that do something and end.
    #[command(flatten)]
    Tool(Tool),
}

/// A command that does something and ends.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Apply pending migrations and exit
    Migrate,
    /// Copy a whole database of Marzneshin into this panel's empty one
    Import(ImportArgs),
    /// Write a database that Marzneshin opens: the way back
    Export(ExportArgs),
    /// Show what this machine gets, and why
    Plan(PlanArgs),
    /// Check a running panel: it starts, answers, runs its tasks once, is fast, and keeps its memory
    Check(CheckArgs),
    /// Make, change, list and delete admins
    #[command(subcommand)]
    Admin(AdminCommand),
    /// List users, and give them to other admins
    #[command(subcommand)]
    User(UserCommand),
    /// Show a user's link, and what client programs get from it
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// Ask the running panel whether it is alive; for a container
    Healthcheck,
    /// Print what a shell needs to complete commands: `source <(sarban completions bash)`
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// How to run the panel.
#[derive(Clone, Copy, Debug, Args)]
pub struct ServeArgs {
    /// Refuse to start while migrations are pending, instead of applying them
    #[arg(long)]
    pub no_migrate: bool,
    /// Receive the listening socket from the running process of this host, which then ends: no connection is refused
    #[arg(long)]
    pub take_over: bool,
}

/// A command that can't be done as it was given: exit code 2, like wrong settings.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Cli {
    /// The command; without one, `serve`.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

/// Finds out what subscriptions depend on besides the database. The app does that.
pub type FindSurroundings = fn(&Settings) -> anyhow::Result<RenderContext>;

/// Does what a tool does. `endpoints` are those of the API.
pub async fn run(
    tool: Tool,
    settings: &Settings,
    render_context: FindSurroundings,
    endpoints: fn() -> Endpoints,
) -> anyhow::Result<()> {
    match tool {
        Tool::Migrate => migrate::run(settings).await,
        Tool::Import(args) => import::run(args, settings).await,
        Tool::Export(args) => export::run(args, settings).await,
        Tool::Plan(args) => plan::run(&args, settings),
        Tool::Check(args) => check::run(args, settings, endpoints()).await,
        Tool::Admin(command) => admin::run(command, settings).await,
        Tool::User(command) => user::run(command, settings).await,
        Tool::Subscription(command) => subscription::run(command, settings, render_context).await,
        Tool::Healthcheck => healthcheck::run(settings).await,
        Tool::Completions { shell } => completions::run(shell),
    }
}

/// Chance for a command.
fn chance() -> anyhow::Result<StdRng> {
    StdRng::try_from_rng(&mut rand::rngs::SysRng).context("no randomness from the system")
}
