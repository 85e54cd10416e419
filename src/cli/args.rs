//! The commands and their arguments, as clap parses them.

use clap::{Args, Parser, Subcommand};

use super::admin::AdminCommand;
use super::check::CheckArgs;
use super::export::ExportArgs;
use super::import::ImportArgs;
use super::plan::PlanArgs;
use super::subscription::SubscriptionCommand;
use super::user::UserCommand;

/// The parsed command line.
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
    /// Run the panel (default)
    Serve(ServeArgs),
    /// One-shot commands.
    #[command(flatten)]
    Tool(Tool),
}

/// A one-shot command.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Apply pending migrations and exit
    Migrate,
    /// Copy a Marzneshin database into this panel's empty database
    Import(ImportArgs),
    /// Write a database that Marzneshin opens (the way back)
    Export(ExportArgs),
    /// Show worker, connection and memory sizing for this machine, with warnings
    Plan(PlanArgs),
    /// Check a running panel: readiness, endpoints, scheduled tasks, speed, memory
    Check(CheckArgs),
    /// Create, update, delete and list admins
    #[command(subcommand)]
    Admin(AdminCommand),
    /// List users, and change their owner
    #[command(subcommand)]
    User(UserCommand),
    /// Show a user's subscription link and configurations
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// Exit with 0 if the panel on this machine is alive, else 1 (for container probes)
    Healthcheck,
    /// Print a shell completion script; for bash: `source <(sarban completions bash)`
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
}

/// Arguments of `sarban serve`.
#[derive(Clone, Copy, Debug, Args)]
pub struct ServeArgs {
    /// Refuse to start while migrations are pending, instead of applying them
    #[arg(long)]
    pub no_migrate: bool,
    /// Take over the listening socket from the panel that runs on this machine, which then exits; no connection is refused
    #[arg(long)]
    pub take_over: bool,
}

impl Cli {
    /// Returns the command, which is `serve` when none is given.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}
