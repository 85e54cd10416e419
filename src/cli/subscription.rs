//! `sarban subscription …`: a user's link, and what a client program would get from it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use rand::Rng;
use serde_json::json;

use super::{FindSurroundings, chance, database, output, terminal, user};
use crate::actions::Panel;
use crate::actions::subscriptions::SourceCache;
use crate::clock::Clock;
use crate::cluster::wakeup::Wakeup;
use crate::config::Settings;
use crate::domain::host::variables::HostVariables;
use crate::subscription::{Format, LeftOut, Rendered, Request, render};

/// What to show of a subscription.
#[derive(Debug, Subcommand)]
pub enum SubscriptionCommand {
    /// Print the link for a user's apps
    GetLink(LinkArgs),
    /// Print the configuration that a client program gets
    GetConfig(ConfigArgs),
}

/// Whose link.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// The user's name
    #[arg(short, long)]
    username: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Whose configuration, and how.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The user's name
    #[arg(short, long)]
    username: Option<String>,
    /// What kind
    #[arg(short, long, default_value = "links", value_parser = PossibleValuesParser::new(Format::client_types()))]
    format: String,
    /// In base64
    #[arg(long)]
    base64: bool,
    /// Into this file, which must not be there yet, instead of onto the terminal
    #[arg(short, long)]
    output: Option<PathBuf>,
}

pub(super) async fn run(
    command: SubscriptionCommand,
    settings: &Settings,
    render_context: FindSurroundings,
) -> anyhow::Result<()> {
    let db = database::open_migrated(settings).await?;
    let panel = Panel { db, clock: Clock::real(), wakeup: Wakeup::default(), targets: Default::default() };
    let done = match command {
        SubscriptionCommand::GetLink(args) => link(&panel, settings, args).await,
        SubscriptionCommand::GetConfig(args) => config(&panel, settings, render_context, args).await,
    };
    panel.db.close().await;
    done
}

async fn link(panel: &Panel, settings: &Settings, args: LinkArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    let user = user::find(panel, &username).await?;
    let mut rng = chance()?;
    let url = user.subscription_url(&settings.subscription.url_prefix, || rng.next_u64()).unwrap_or_default();
    if args.json {
        return output::json(&json!({"username": username, "subscription_url": url}));
    }
    Ok(output::line(url)?)
}

async fn config(
    panel: &Panel,
    settings: &Settings,
    render_context: FindSurroundings,
    args: ConfigArgs,
) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    let user = user::find(panel, &username).await?;
    let render_context = render_context(settings)?;
    let sources = SourceCache::default().get(&panel.db, &panel.clock).await?;
    let request = Request {
        variables: HostVariables::of(&user, &render_context.server_ip, panel.clock.now()),
        catalogue: &sources.catalogue,
        settings: &sources.settings,
        templates: &render_context.templates,
        derivation: render_context.derivation,
        user_agent: "",
    };
    // The argument's parser takes no other words.
    let format = Format::from_client_type(&args.format).unwrap_or(Format::Links);
    let Rendered { body: mut text, left_out, template_error } = render(format, &request, &mut chance()?);
    for LeftOut { host, reason } in left_out {
        output::note(format_args!("host {host} is left out: {reason}"))?;
    }
    if let Some(error) = template_error {
        return Err(error.into());
    }
    if args.base64 {
        text = STANDARD.encode(text);
    }
    let Some(path) = args.output else { return Ok(output::line(text)?) };
    // Not over something that somebody may want to keep.
    let file = std::fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    file.with_context(|| format!("{} can't be written", path.display()))?;
    Ok(output::line(format_args!("wrote {}", path.display()))?)
}
