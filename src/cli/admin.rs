//! `sarban admin …`: admins from the panel's own host, by whoever may run commands there.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Usage, database, output, terminal};
use crate::actions::Panel;
use crate::actions::admins::{self, Actor, AdminChange, AdminError, NewAdmin};
use crate::clock::Clock;
use crate::cluster::wakeup::Wakeup;
use crate::config::Settings;
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::store::access::admins::AdminUsage;

/// What to do with admins.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make an admin
    Create(CreateArgs),
    /// Give an admin another password, or give or take the rights of a sudo
    Update(UpdateArgs),
    /// Delete an admin; the users stay, without an owner
    Delete(DeleteArgs),
    /// Show admins
    List(ListArgs),
    /// Make or update the sudo of SUDO_USERNAME and SUDO_PASSWORD, who also gets the users without an owner
    ImportFromEnv(ImportArgs),
}

/// An admin to be.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The admin's name
    #[arg(short, long)]
    username: Option<String>,
    #[command(flatten)]
    sudo: SudoChoice,
}

/// What should become of an admin.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The admin's name
    #[arg(short, long)]
    username: Option<String>,
    #[command(flatten)]
    sudo: SudoChoice,
    /// Ask for a new password, also when something else changes
    #[arg(long)]
    password: bool,
}

/// Whom to delete.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The admin's name
    #[arg(short, long)]
    username: Option<String>,
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
}

/// How to import.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
}

/// Sudo or not; neither: not said.
#[derive(Debug, Args)]
struct SudoChoice {
    /// May do everything
    #[arg(long, overrides_with = "no_sudo")]
    sudo: bool,
    /// May not
    #[arg(long, overrides_with = "sudo")]
    no_sudo: bool,
}

/// Which admins to show, and how.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only names that contain this, in any case
    #[arg(short, long, default_value = "")]
    username: String,
    /// Leave out the first ones
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    offset: i64,
    /// At most so many
    #[arg(short, long, default_value_t = i64::MAX, hide_default_value = true, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl SudoChoice {
    fn chosen(&self) -> Option<bool> {
        (self.sudo || self.no_sudo).then_some(self.sudo)
    }
}

pub(super) async fn run(command: AdminCommand, settings: &Settings) -> anyhow::Result<()> {
    let db = database::open_migrated(settings).await?;
    let panel = Panel { db, clock: Clock::real(), wakeup: Wakeup::default(), targets: Default::default() };
    let done = match command {
        AdminCommand::Create(args) => create(&panel, settings, args).await,
        AdminCommand::Update(args) => update(&panel, settings, args).await,
        AdminCommand::Delete(args) => delete(&panel, args).await,
        AdminCommand::List(args) => list(&panel, &args).await,
        AdminCommand::ImportFromEnv(args) => import_from_env(&panel, settings, &args).await,
    };
    panel.db.close().await;
    done
}

async fn create(panel: &Panel, settings: &Settings, args: CreateArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    // A name that is taken is said before anything else is asked.
    if find(panel, &username).await?.is_some() {
        anyhow::bail!("{username:?} exists already; change with `sarban admin update`");
    }
    let is_sudo = terminal::choice(args.sudo.chosen(), "Sudo: may this admin do everything?")?;
    let password = terminal::password(settings)?;
    admins::create(panel, NewAdmin::usual(username.as_str(), password, is_sudo)).await?;
    Ok(output::line(format_args!("made {} {username:?}", kind(is_sudo)))?)
}

async fn update(panel: &Panel, settings: &Settings, args: UpdateArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    existing(panel, &username).await?;
    let is_sudo = args.sudo.chosen();
    let new_password = args.password || is_sudo.is_none() || settings.admins.password.is_some();
    let password = if new_password { Some(terminal::password(settings)?) } else { None };
    let admin = change(panel, &username, AdminChange { password, is_sudo, ..AdminChange::default() }).await?;
    let tokens = if new_password { " with a new password; signed in again everywhere" } else { "" };
    Ok(output::line(format_args!("updated {} {username:?}{tokens}", kind(admin.is_sudo)))?)
}

async fn delete(panel: &Panel, args: DeleteArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    existing(panel, &username).await?;
    terminal::confirm(args.yes, &format!("Delete the admin {username:?}?"))?;
    admins::delete(panel, Actor::Operator, &username).await?;
    Ok(output::line(format_args!("deleted the admin {username:?}"))?)
}

async fn list(panel: &Panel, args: &ListArgs) -> anyhow::Result<()> {
    let (page, _) = admins::list(panel, &args.username, args.limit, args.offset).await?;
    if args.json {
        return output::json(&page.iter().map(shown).collect::<Vec<_>>());
    }
    let mut table = output::table();
    table.set_header(["USERNAME", "SUDO", "ENABLED", "SERVICES", "USERS' TRAFFIC"]);
    for AdminUsage { admin, users_data_usage } in &page {
        let services = match (admin.may_give_all_services(), admin.service_ids.len()) {
            (true, _) => "all".to_owned(),
            (false, count) => count.to_string(),
        };
        let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
        table.add_row([
            output::plain(&admin.username),
            yes(admin.is_sudo),
            yes(admin.enabled),
            services,
            output::bytes(*users_data_usage),
        ]);
    }
    Ok(output::print(table)?)
}

async fn import_from_env(panel: &Panel, settings: &Settings, args: &ImportArgs) -> anyhow::Result<()> {
    let Some((username, password)) = settings.admins.sudo.clone() else {
        return Err(
            Usage("there is no admin in the environment; set SUDO_USERNAME and SUDO_PASSWORD".to_owned()).into()
        );
    };
    let (done, admin) = match find(panel, &username).await? {
        None => ("made", admins::create(panel, NewAdmin::usual(username.as_str(), password, true)).await?),
        Some(_) => {
            let question = format!("{username:?} exists: make it a sudo with the password of SUDO_PASSWORD?");
            terminal::confirm(args.yes, &question)?;
            ("updated", change(panel, &username, as_sudo(password)).await?)
        }
    };
    let adopted = admins::adopt_users(panel, &admin).await?;
    output::line(format_args!("{done} sudo {username:?}; {adopted} users without an owner are now its own"))?;
    Ok(output::line("take SUDO_USERNAME and SUDO_PASSWORD out of the environment now: nothing else needs them")?)
}

fn as_sudo(password: Secret) -> AdminChange {
    AdminChange { password: Some(password), is_sudo: Some(true), ..AdminChange::default() }
}

async fn find(panel: &Panel, username: &str) -> anyhow::Result<Option<Admin>> {
    match admins::by_name(panel, username).await {
        Ok(found) => Ok(Some(found.admin)),
        Err(AdminError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn existing(panel: &Panel, username: &str) -> anyhow::Result<Admin> {
    let found = find(panel, username).await?;
    found.ok_or_else(|| anyhow::anyhow!("there is no admin {username:?}; see them all with `sarban admin list`"))
}

async fn change(panel: &Panel, username: &str, change: AdminChange) -> anyhow::Result<Admin> {
    Ok(admins::update(panel, Actor::Operator, username, change).await?.admin)
}

const fn kind(is_sudo: bool) -> &'static str {
    if is_sudo { "sudo" } else { "admin" }
}

/// The same fields as in the API.
fn shown(AdminUsage { admin, users_data_usage }: &AdminUsage) -> Value {
    json!({
        "username": admin.username,
        "is_sudo": admin.is_sudo,
        "enabled": admin.enabled,
        "all_services_access": admin.all_services_access,
        "modify_users_access": admin.modify_users_access,
        "service_ids": admin.service_ids.iter().map(|id| id.0).collect::<Vec<_>>(),
        "subscription_url_prefix": admin.subscription_url_prefix,
        "users_data_usage": users_data_usage,
    })
}
