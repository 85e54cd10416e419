//! `sarban user …`: users from the panel's own host, by whoever may run commands there.

use clap::{Args, Subcommand};
use rand::Rng;

use super::{chance, database, output, terminal};
use crate::actions::Panel;
use crate::actions::users::totals::TotalCache;
use crate::actions::users::{self, UserError};
use crate::clock::Clock;
use crate::cluster::wakeup::Wakeup;
use crate::config::Settings;
use crate::domain::admin::Admin;
use crate::domain::ids::AdminId;
use crate::domain::user::User;
use crate::domain::user::document::UserDocument;
use crate::store::users::list::{Names, UserFilter, UserSort, UserWindow};

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Show users
    List(ListArgs),
    /// Give a user to another admin
    SetOwner(SetOwnerArgs),
}

/// Which users to show, and how.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only names that contain this, in any case
    #[arg(short, long, default_value = "")]
    username: String,
    /// Only the users of this admin
    #[arg(long, visible_alias = "admin")]
    owner: Option<String>,
    /// Leave out the first ones
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    offset: i64,
    /// At most so many
    #[arg(short, long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Print JSON, as the API gives it
    #[arg(long)]
    json: bool,
}

/// Who gets whom.
#[derive(Debug, Args)]
pub struct SetOwnerArgs {
    /// The user's name
    #[arg(short, long)]
    username: Option<String>,
    /// The admin's name
    #[arg(long, visible_alias = "admin")]
    owner: String,
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(command: UserCommand, settings: &Settings) -> anyhow::Result<()> {
    let db = database::open_migrated(settings).await?;
    let panel = Panel { db, clock: Clock::real(), wakeup: Wakeup::default(), targets: Default::default() };
    let done = match command {
        UserCommand::List(args) => list(&panel, settings, args).await,
        UserCommand::SetOwner(args) => set_owner(&panel, args).await,
    };
    panel.db.close().await;
    done
}

async fn list(panel: &Panel, settings: &Settings, args: ListArgs) -> anyhow::Result<()> {
    let filter = UserFilter { names: Names::Containing(args.username), ..UserFilter::default() };
    let window = UserWindow { sort: UserSort::Id, descending: false, offset: args.offset, limit: args.limit };
    let totals = TotalCache::default();
    let (page, total) = users::list(panel, &totals, &operator(), filter, args.owner.as_deref(), window)
        .await
        .map_err(|error| told(error, "", args.owner.as_deref().unwrap_or_default()))?;
    let mut rng = chance()?;
    let now = panel.clock.now();
    let document = |user: User| UserDocument::of(user, &settings.subscription.url_prefix, now, || rng.next_u64());
    let shown: Vec<UserDocument> = page.into_iter().map(document).collect();
    if args.json {
        return output::json(&shown);
    }
    let mut table = output::table();
    table.set_header(["ID", "USERNAME", "OWNER", "STATE", "USED", "LIMIT", "EXPIRES"]);
    for user in &shown {
        table.add_row([
            user.id.to_string(),
            output::plain(&user.username),
            user.owner_username.as_deref().map_or_else(|| "-".to_owned(), output::plain),
            state(user).to_owned(),
            output::bytes(user.used_traffic),
            user.data_limit.map_or_else(|| "-".to_owned(), output::bytes),
            user.expire_date.map_or_else(|| "-".to_owned(), |date| date.naive_iso()),
        ]);
    }
    output::print(table)?;
    let shown = i64::try_from(shown.len())?;
    if args.offset + shown < total {
        output::line(format_args!("\n{shown} of {total}; see more with --offset {} --limit N", args.offset + shown))?;
    }
    Ok(())
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
    let before = user.owner.map_or_else(|| "nobody".to_owned(), |owner| format!("{:?}", owner.username));
    terminal::confirm(args.yes, &format!("Give {username:?}, who belongs to {before}, to {:?}?", args.owner))?;
    users::set_owner(panel, &operator(), &username, &args.owner)
        .await
        .map_err(|error| told(error, &username, &args.owner))?;
    Ok(output::line(format_args!("{username:?} belongs to {:?} now", args.owner))?)
}

/// The user of that name.
pub(super) async fn find(panel: &Panel, username: &str) -> anyhow::Result<User> {
    users::get(panel, &operator(), username).await.map_err(|error| told(error, username, ""))
}

fn told(error: UserError, username: &str, owner: &str) -> anyhow::Error {
    match error {
        UserError::NotFound => anyhow::anyhow!("there is no user {username:?}; see them all with `sarban user list`"),
        UserError::NoSuchAdmin => anyhow::anyhow!("there is no admin {owner:?}; see them all with `sarban admin list`"),
        other => other.into(),
    }
}

/// Whoever may run commands on the panel's host may do what a sudo may.
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
    }
}
