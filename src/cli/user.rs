//! `sarban user …`: lists users and changes their owner from the panel's machine, with all rights.

use std::io;

use clap::{Args, Subcommand};
use rand::Rng;

use super::{output, panel, rng, terminal};
use crate::actions::Panel;
use crate::actions::users::totals::TotalCache;
use crate::actions::users::{self, UserError};
use crate::config::Settings;
use crate::domain::admin::Admin;
use crate::domain::bytes::binary_bytes;
use crate::domain::ids::AdminId;
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

pub(super) async fn run(command: UserCommand, settings: &Settings) -> anyhow::Result<()> {
    let panel = panel::open(settings).await?;
    let result = match command {
        UserCommand::List(args) => list(&panel, settings, args).await,
        UserCommand::SetOwner(args) => set_owner(&panel, args).await,
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

/// Returns the user with this name.
pub(super) async fn find(panel: &Panel, username: &str) -> anyhow::Result<User> {
    users::get(panel, &operator(), username).await.map_err(|error| explained(error, username, ""))
}

/// Adds the name and the next step to the error.
fn explained(error: UserError, username: &str, owner: &str) -> anyhow::Error {
    match error {
        UserError::NotFound => anyhow::anyhow!("user {username:?} not found; `sarban user list` shows all users"),
        UserError::NoSuchAdmin => anyhow::anyhow!("admin {owner:?} not found; `sarban admin list` shows all admins"),
        other => other.into(),
    }
}

/// The rights of a command, which are those of a sudo admin.
const fn operator() -> Admin {
    Admin {
        id: AdminId(0),
        username: String::new(),
        is_sudo: true,
        enabled: true,
        all_services_access: true,
        modify_users_access: true,
        service_ids: Vec::new(),
        subscription_url_prefix: String::new(),
        password_reset_at: None,
        created_at: Moment::from_micros(0),
    }
}
