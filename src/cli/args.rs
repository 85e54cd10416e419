//! The commands and their arguments, as clap parses them.

use clap::{Args, Parser, Subcommand};

use super::admin::AdminCommand;
use super::audit::AuditCommand;
use super::backup::BackupArgs;
use super::check::CheckArgs;
use super::edges::EdgesArgs;
use super::export::ExportArgs;
use super::import::ImportArgs;
use super::plan::PlanArgs;
use super::restore::RestoreArgs;
use super::role::RoleCommand;
use super::subscription::SubscriptionCommand;
use super::token::TokenCommand;
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
    /// Run an edge: serve subscriptions from a copy that follows panels over HTTPS, without a database
    Edge,
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
    /// Write a file with the whole panel, while it runs
    Backup(BackupArgs),
    /// Copy a back-up into this panel's empty database, of either engine, or verify it
    Restore(RestoreArgs),
    /// Show worker, connection and memory sizing for this machine, with warnings
    Plan(PlanArgs),
    /// Check a running panel: readiness, endpoints, scheduled tasks, speed, memory
    Check(CheckArgs),
    /// Create, update, delete and list admins
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Create, update, delete and list roles of admins
    #[command(subcommand)]
    Role(RoleCommand),
    /// Make, list, rotate and revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// List users, change one or many, find out why one can't connect
    #[command(subcommand)]
    User(UserCommand),
    /// Show a user's subscription link and configurations
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// Verify and export the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// List the edges that follow this panel
    Edges(EdgesArgs),
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
