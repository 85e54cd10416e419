//! `sarban subscription …`: shows a user's link, and the configuration that a client gets from it.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use rand::Rng;
use serde_json::json;

use super::client_rules::{self, RulesArgs};
use super::render_context::FindRenderContext;
use super::{output, panel, rng, terminal, user};
use crate::actions::Panel;
use crate::actions::subscriptions;
use crate::config::Settings;
use crate::foundation::private_file;
use crate::subscription::explain::{Explanation, explain};
use crate::subscription::headers::ascii;
use crate::subscription::{Format, LeftOut, Rendered, formats, render};

/// Commands for subscriptions.
#[derive(Debug, Subcommand)]
pub enum SubscriptionCommand {
    /// Print a user's subscription link
    GetLink(LinkArgs),
    /// Print the configuration that a client gets
    GetConfig(ConfigArgs),
    /// Print which hosts a client gets, and why it does not get the others
    Explain(ExplainArgs),
    /// Print the client rules, and which programs would get something else with today's rules
    Rules(RulesArgs),
}

/// Arguments of `sarban subscription get-link`.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// Name of the user
    #[arg(short, long)]
    username: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarban subscription get-config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Name of the user
    #[arg(short, long)]
    username: Option<String>,
    /// Format of the configuration
    #[arg(short, long, default_value = "links", value_parser = PossibleValuesParser::new(Format::client_types()))]
    format: String,
    /// Encode the output in base64
    #[arg(long)]
    base64: bool,
    /// File to write to, in place of stdout; it must not exist
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// Arguments of `sarban subscription explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name of the user
    username: String,
    /// User-Agent of the client, such as "SFA/1.12.0"
    #[arg(long = "as", value_name = "USER-AGENT", default_value = "")]
    user_agent: String,
    /// Format of the configuration; the client rules choose it if it is not given
    #[arg(short, long, value_parser = PossibleValuesParser::new(Format::client_types()))]
    format: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    command: SubscriptionCommand,
    settings: &Settings,
    render_context: FindRenderContext,
) -> anyhow::Result<()> {
    let panel = panel::open(settings).await?;
    let result = match command {
        SubscriptionCommand::GetLink(args) => link(&panel, settings, args).await,
        SubscriptionCommand::GetConfig(args) => config(&panel, settings, render_context, args).await,
        SubscriptionCommand::Explain(args) => explained(&panel, settings, render_context, args).await,
        SubscriptionCommand::Rules(args) => client_rules::run(&panel, args).await,
    };
    panel::close(panel, settings).await;
    result
}

async fn link(panel: &Panel, settings: &Settings, args: LinkArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    let user = user::find(panel, &username).await?;
    let mut rng = rng::seeded()?;
    let url = user.subscription_url(&settings.subscription.url_prefix, || rng.next_u64()).unwrap_or_default();
    let url = ascii(&url);
    if args.json {
        return output::json(&json!({"username": username, "subscription_url": url}));
    }
    Ok(output::line(url)?)
}

async fn config(
    panel: &Panel,
    settings: &Settings,
    render_context: FindRenderContext,
    args: ConfigArgs,
) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    let user = user::find(panel, &username).await?;
    let render_context = render_context(settings);
    let sources = subscriptions::read(&panel.db, None).await?;
    let request = sources.request(&render_context, &user, "", panel.clock.now());
    // The argument parser accepts only known formats.
    let format = Format::from_client_type(&args.format).unwrap_or(&formats::LINKS);
    let Rendered { body: mut text, left_out, template_error } = render(format, &request, &mut rng::seeded()?);
    for LeftOut { host, reason } in left_out {
        output::note(format_args!("host {host} left out: {reason}"))?;
    }
    if let Some(error) = template_error {
        return Err(error.into());
    }
    if args.base64 {
        text = STANDARD.encode(text);
    }
    let Some(path) = args.output else { return Ok(output::line(text)?) };
    let written =
        private_file().write(true).create_new(true).open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("could not write {}", path.display()))?;
    Ok(output::line(format_args!("wrote {}", path.display()))?)
}

async fn explained(
    panel: &Panel,
    settings: &Settings,
    render_context: FindRenderContext,
    args: ExplainArgs,
) -> anyhow::Result<()> {
    let user = user::find(panel, &args.username).await?;
    let render_context = render_context(settings);
    let sources = subscriptions::read(&panel.db, None).await?;
    let request = sources.request(&render_context, &user, &args.user_agent, panel.clock.now());
    let format = args.format.as_deref().and_then(Format::from_client_type);
    let Explanation { format, program, core_version, hosts, .. } =
        explain(format, &sources.rules, &request, &mut rng::seeded()?);
    if args.json {
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| json!({"id": host.id.0, "remark": host.remark, "left_out": host.left_out}))
            .collect();
        return output::json(&json!({
            "format": format.map(|format| format.client_type),
            "program": program.map(|program| program.name),
            "core_version": core_version,
            "hosts": hosts,
        }));
    }
    output::line(format_args!(
        "program: {}{}",
        program.map_or("unknown", |program| program.name),
        core_version.map(|version| format!(", core {version}")).unwrap_or_default()
    ))?;
    output::line(format_args!(
        "format: {}",
        format.map_or("none: the client gets the web page or nothing", |format| format.client_type)
    ))?;
    for host in hosts {
        let remark = host.remark.escape_debug();
        output::line(format_args!("host {}, {remark}: {}", host.id, host.left_out.unwrap_or("written")))?;
    }
    Ok(())
}
