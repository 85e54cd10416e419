//! `sarban user …`: lists users, and changes one or many, from the panel's machine, with all rights.

use std::io;

use clap::{Args, Subcommand};
use rand::Rng;
use serde_json::json;

use super::operator::{explained, operator};
use super::render_context::FindRenderContext;
use super::user_bulk::{self, BulkArgs};
use super::{output, panel, rng, terminal};
use crate::actions::Panel;
use crate::actions::subscriptions::{self, RenderContext};
use crate::actions::users::totals::TotalCache;
use crate::actions::users::{self, diagnosis};
use crate::config::Settings;
use crate::domain::bytes::binary_bytes;
use crate::domain::diagnosis::{Diagnosis, Finding};
use crate::domain::moment::Moment;
use crate::domain::user::User;
use crate::domain::user::document::UserDocument;
use crate::store::users::list::{Names, UserFilter, UserSort, UserWindow};

/// Commands for users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List users
    List(ListArgs),
    /// Change the owner of a user
    SetOwner(SetOwnerArgs),
    /// Change many users at once: those who meet all conditions
    Bulk(Box<BulkArgs>),
    /// Print why a user can't connect
    Why(WhyArgs),
}

/// Arguments of `sarban user list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only names that contain this text, ignoring case
    #[arg(short, long, default_value = "")]
    username: String,
    /// Only the users of this admin
    #[arg(long, visible_alias = "admin")]
    owner: Option<String>,
    /// Number of users to skip
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    offset: i64,
    /// Maximum number of users
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Print JSON, with the fields that the API has
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarban user set-owner`.
#[derive(Debug, Args)]
pub struct SetOwnerArgs {
    /// Name of the user
    #[arg(short, long)]
    username: Option<String>,
    /// Name of the admin who becomes the owner
    #[arg(long, visible_alias = "admin")]
    owner: String,
    /// Skip the confirmation
    #[arg(short, long)]
    yes: bool,
}

/// Arguments of `sarban user why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// Name of the user
    username: String,
    /// User-Agent of the app, such as "SFA/1.12.0"; that of the last fetch if it is not given
    #[arg(long = "as", value_name = "USER-AGENT")]
    user_agent: Option<String>,
    /// Print JSON, with the findings that the API has
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    command: UserCommand,
    settings: &Settings,
    render_context: FindRenderContext,
) -> anyhow::Result<()> {
    let panel = panel::open(settings).await?;
    let result = match command {
        UserCommand::List(args) => list(&panel, settings, args).await,
        UserCommand::SetOwner(args) => set_owner(&panel, args).await,
        UserCommand::Bulk(args) => user_bulk::run(&panel, settings, *args).await,
        UserCommand::Why(args) => why(&panel, &render_context(settings), args).await,
    };
    panel::close(panel, settings).await;
    result
}

async fn list(panel: &Panel, settings: &Settings, args: ListArgs) -> anyhow::Result<()> {
    let filter = UserFilter { names: Names::Containing(args.username), ..UserFilter::default() };
    let window = UserWindow { sort: UserSort::Id, descending: false, offset: args.offset, limit: args.limit };
    let totals = TotalCache::new(panel);
    let (page, total) = users::list(panel, &totals, &operator(), filter, args.owner.as_deref(), window)
        .await
        .map_err(|error| explained(error, "", args.owner.as_deref().unwrap_or_default()))?;
    let mut rng = rng::seeded()?;
    let now = panel.clock.now();
    let document = |user: User| UserDocument::of(user, &settings.subscription.url_prefix, now, || rng.next_u64());
    let documents: Vec<UserDocument> = page.into_iter().map(document).collect();
    if args.json {
        return output::json(&documents);
    }
    print_table(&documents)?;
    let end = args.offset + i64::try_from(documents.len())?;
    if end < total {
        let shown = documents.len();
        output::line(format_args!("\n{shown} of {total} users; see more with --offset {end} --limit N"))?;
    }
    Ok(())
}

fn print_table(users: &[UserDocument]) -> io::Result<()> {
    let mut table = output::table();
    table.set_header(["ID", "USERNAME", "OWNER", "STATE", "USED", "LIMIT", "EXPIRES"]);
    for user in users {
        table.add_row([
            user.id.to_string(),
            output::plain(&user.username),
            user.owner_username.as_deref().map_or_else(|| "-".to_owned(), output::plain),
            state(user).to_owned(),
            binary_bytes(user.used_traffic),
            user.data_limit.map_or_else(|| "-".to_owned(), binary_bytes),
            user.expire_date.map_or_else(|| "-".to_owned(), Moment::naive_iso),
        ]);
    }
    output::print(table)
}

const fn state(user: &UserDocument) -> &'static str {
    match user {
        UserDocument { enabled: false, .. } => "disabled",
        UserDocument { expired: true, .. } => "expired",
        UserDocument { data_limit_reached: true, .. } => "limited",
        UserDocument { usage_duration: Some(_), expire_date: None, .. } => "on hold",
        _ => "active",
    }
}

async fn set_owner(panel: &Panel, args: SetOwnerArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    let user = find(panel, &username).await?;
    let before = user.owner.map_or_else(|| "no owner".to_owned(), |owner| format!("owner {:?}", owner.username));
    terminal::confirm(args.yes, &format!("Change the owner of {username:?} ({before}) to {:?}?", args.owner))?;
    users::set_owner(panel, &operator(), &username, &args.owner)
        .await
        .map_err(|error| explained(error, &username, &args.owner))?;
    Ok(output::line(format_args!("the owner of {username:?} is now {:?}", args.owner))?)
}

async fn why(panel: &Panel, render_context: &RenderContext, args: WhyArgs) -> anyhow::Result<()> {
    let user = find(panel, &args.username).await?;
    let known = diagnosis::read(panel, true, &user).await?;
    let sources = subscriptions::read(&panel.db, None).await?;
    let user_agent = args.user_agent.or_else(|| user.sub_last_user_agent.clone()).unwrap_or_default();
    let request = sources.request(render_context, &user, &user_agent, panel.clock.now());
    let Diagnosis { works, findings, left_off } = known.diagnosis(&sources.rules, &request, &mut rng::seeded()?);
    if args.json {
        return output::json(&json!({
            "username": args.username, "user_agent": user_agent, "works": works, "findings": findings, "left_off": left_off,
        }));
    }
    output::line(if works { "nothing keeps the user from connecting" } else { "the user can't connect" })?;
    for Finding { code, severity, text, .. } in findings {
        output::line(format_args!("{}: {} ({})", severity.word(), output::plain(&text), code.word()))?;
    }
    if left_off > 0 {
        output::line(format_args!("and {left_off} more"))?;
    }
    Ok(())
}

/// Returns the user with this name.
pub(super) async fn find(panel: &Panel, username: &str) -> anyhow::Result<User> {
    users::get(panel, &operator(), username).await.map_err(|error| explained(error, username, ""))
}
