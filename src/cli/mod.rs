//! The command line: all commands except `serve`, which `app` runs.

mod admin;
mod admin_quota;
mod args;
mod audit;
mod backup;
mod check;
mod client_rules;
mod completions;
mod database;
mod edges;
mod export;
mod healthcheck;
mod import;
mod interruption;
mod migrate;
mod operator;
mod output;
mod panel;
mod plan;
mod preflight;
mod render_context;
mod report_file;
mod restore;
mod rng;
mod role;
mod row_issues;
mod subscription;
mod terminal;
mod token;
mod unverified_tls;
mod usage_error;
mod user;
mod user_bulk;

pub use self::args::{Cli, Command, ServeArgs, Tool};
pub use self::check::Endpoints;
pub use self::preflight::{Preflight, Problems};
pub use self::render_context::FindRenderContext;
pub use self::usage_error::UsageError;
use crate::config::Settings;

/// Runs a command other than `serve`. `endpoints` returns the endpoints of the API.
pub async fn run(
    tool: Tool,
    settings: &Settings,
    render_context: FindRenderContext,
    endpoints: fn() -> Endpoints,
    preflight: Preflight,
) -> anyhow::Result<()> {
    match tool {
        Tool::Migrate => migrate::run(settings).await,
        Tool::Import(args) => import::run(args, settings, preflight).await,
        Tool::Export(args) => export::run(args, settings).await,
        Tool::Backup(args) => backup::run(args, settings).await,
        Tool::Restore(args) => restore::run(args, settings).await,
        Tool::Plan(args) => plan::run(args, settings, preflight).await,
        Tool::Check(args) => check::run(args, settings, endpoints(), (preflight.files)(settings)).await,
        Tool::Admin(command) => admin::run(command, settings).await,
        Tool::Role(command) => role::run(command, settings).await,
        Tool::Token(command) => token::run(command, settings).await,
        Tool::User(command) => user::run(command, settings, render_context).await,
        Tool::Subscription(command) => subscription::run(command, settings, render_context).await,
        Tool::Audit(command) => audit::run(command, settings).await,
        Tool::Edges(args) => edges::run(args, settings).await,
        Tool::Healthcheck => healthcheck::run(settings).await,
        Tool::Completions { shell } => completions::run(shell),
    }
}
