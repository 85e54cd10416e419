//! `sarban admin …`: manages admins from the panel's machine, with all rights.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_quota::{self, QuotaCommand};
use super::usage_error::UsageError;
use super::{output, panel, terminal};
use crate::actions::Panel;
use crate::actions::admins::{self, Actor, AdminChange, AdminError, NewAdmin};
use crate::actions::second_factor::{self, SecondFactorError};
use crate::actions::setup;
use crate::config::Settings;
use crate::config::secret::Secret;
use crate::domain::admin::Admin;
use crate::domain::bytes::binary_bytes;
use crate::domain::role::BuiltIn;
use crate::store::access::admins::AdminUsage;

/// Commands for admins.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Create an admin
    Create(CreateArgs),
    /// Change an admin's password, sudo rights or role
    Update(UpdateArgs),
    /// Delete an admin; the admin's users remain, without an owner
    Delete(DeleteArgs),
    /// List admins
    List(ListArgs),
    /// Quotas of admins
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Print a link at which the first sudo admin is made in a browser; it is good once and for an hour
    SetupLink(SetupLinkArgs),
    /// Remove the second factor of an admin who has lost it: authenticator app and recovery codes
    #[command(name = "reset-2fa")]
    ResetSecondFactor(ResetArgs),
    /// Create or update the sudo admin of SUDO_USERNAME and SUDO_PASSWORD, who becomes the owner of users without one
    ImportFromEnv(ImportArgs),
}

/// Arguments of `sarban admin create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the admin
    #[arg(short, long)]
    username: Option<String>,
    #[command(flatten)]
    sudo: SudoChoice,
    /// Give the admin this role; `sarban role list` shows all
    #[arg(long, conflicts_with_all = ["sudo", "no_sudo"])]
    role: Option<String>,
}

/// Arguments of `sarban admin update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Name of the admin
    #[arg(short, long)]
    username: Option<String>,
    #[command(flatten)]
    sudo: SudoChoice,
    /// Give the admin this role; `sarban role list` shows all. Its sessions end
    #[arg(long, conflicts_with_all = ["sudo", "no_sudo"])]
    role: Option<String>,
    /// Change the password too, when --sudo, --no-sudo or --role is given
    #[arg(long)]
    password: bool,
}

/// Arguments of `sarban admin delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Name of the admin
    #[arg(short, long)]
    username: Option<String>,
    /// Skip the confirmation
    #[arg(short, long)]
    yes: bool,
}

/// Arguments of `sarban admin reset-2fa`.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// Name of the admin
    #[arg(short, long)]
    username: Option<String>,
    /// Skip the confirmation
    #[arg(short, long)]
    yes: bool,
}

/// Arguments of `sarban admin import-from-env`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Skip the confirmation
    #[arg(short, long)]
    yes: bool,
}

/// Arguments of `sarban admin setup-link`.
#[derive(Debug, Args)]
pub struct SetupLinkArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The flags `--sudo` and `--no-sudo`, of which the last one wins.
#[derive(Debug, Args)]
struct SudoChoice {
    /// Grant sudo rights: the admin may do everything
    #[arg(long, overrides_with = "no_sudo")]
    sudo: bool,
    /// No sudo rights
    #[arg(long, overrides_with = "sudo")]
    no_sudo: bool,
}

/// Arguments of `sarban admin list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only names that contain this text, ignoring case
    #[arg(short, long, default_value = "")]
    username: String,
    /// Number of admins to skip
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    offset: i64,
    /// Maximum number of admins
    #[arg(short, long, default_value_t = i64::MAX, hide_default_value = true, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl SudoChoice {
    /// Returns none when neither flag is given.
    fn chosen(&self) -> Option<bool> {
        (self.sudo || self.no_sudo).then_some(self.sudo)
    }
}

pub(super) async fn run(command: AdminCommand, settings: &Settings) -> anyhow::Result<()> {
    let panel = panel::open(settings).await?;
    let result = match command {
        AdminCommand::Create(args) => create(&panel, settings, args).await,
        AdminCommand::Update(args) => update(&panel, settings, args).await,
        AdminCommand::Delete(args) => delete(&panel, args).await,
        AdminCommand::ResetSecondFactor(args) => reset_second_factor(&panel, args).await,
        AdminCommand::List(args) => list(&panel, &args).await,
        AdminCommand::Quota(command) => admin_quota::run(&panel, command).await,
        AdminCommand::SetupLink(args) => setup_link(&panel, settings, &args).await,
        AdminCommand::ImportFromEnv(args) => import_from_env(&panel, settings, &args).await,
    };
    panel::close(panel, settings).await;
    result
}

async fn create(panel: &Panel, settings: &Settings, args: CreateArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    // Refuse a taken name before asking for the rest.
    if find(panel, &username).await?.is_some() {
        anyhow::bail!("admin {username:?} already exists; change it with `sarban admin update`");
    }
    let is_sudo = match &args.role {
        Some(role) => role == BuiltIn::Owner.name(),
        None => terminal::choice(args.sudo.chosen(), "Grant sudo rights (the admin may do everything)?")?,
    };
    let password = terminal::new_password(settings)?;
    let new = NewAdmin { role: args.role, ..NewAdmin::usual(username.as_str(), password, is_sudo) };
    let admin = admins::create(panel, Actor::Operator, new).await?;
    Ok(output::line(format_args!("created {} {username:?}", kind(&admin)))?)
}

async fn update(panel: &Panel, settings: &Settings, args: UpdateArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    must_exist(panel, &username).await?;
    let is_sudo = args.sudo.chosen();
    let role = args.role;
    let keeps_password = is_sudo.is_some() || role.is_some();
    let new_password = args.password || !keeps_password || settings.admins.password.is_some();
    let password = if new_password { Some(terminal::new_password(settings)?) } else { None };
    let admin = change(panel, &username, AdminChange { password, is_sudo, role, ..AdminChange::default() }).await?;
    let tokens = if new_password { " and its password; earlier tokens are invalid" } else { "" };
    Ok(output::line(format_args!("updated {} {username:?}{tokens}", kind(&admin)))?)
}

async fn setup_link(panel: &Panel, settings: &Settings, args: &SetupLinkArgs) -> anyhow::Result<()> {
    let Some(code) = setup::new_code(panel).await? else {
        anyhow::bail!("there is an admin already; create another one with `sarban admin create`");
    };
    // Behind a Unix socket, only the proxy knows the address.
    let address = match settings.http.uds {
        Some(_) => String::new(),
        None => settings.http.local_address(settings.tls.is_some()),
    };
    let link = settings.http.setup_link(&address, &code);
    let public = settings.subscription.public_address().map(|it| settings.http.setup_link(it, &code));
    if args.json {
        return output::json(&json!({"link": link, "public_link": public, "code": code, "good_for_seconds": 3_600}));
    }
    if let Some(public) = public {
        output::note(format_args!("or, if SUBSCRIPTION_URL_PREFIX leads to a panel: {public}"))?;
    }
    Ok(output::line(format_args!("{link}"))?)
}

async fn delete(panel: &Panel, args: DeleteArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    must_exist(panel, &username).await?;
    terminal::confirm(args.yes, &format!("Delete admin {username:?}?"))?;
    admins::delete(panel, Actor::Operator, &username).await?;
    Ok(output::line(format_args!("deleted admin {username:?}"))?)
}

async fn reset_second_factor(panel: &Panel, args: ResetArgs) -> anyhow::Result<()> {
    let username = terminal::username(args.username)?;
    must_exist(panel, &username).await?;
    terminal::confirm(args.yes, &format!("Remove the second factor of {username:?} and end its sessions?"))?;
    match second_factor::reset(panel, Actor::Operator, &username).await {
        Err(SecondFactorError::NotSetUp) => anyhow::bail!("admin {username:?} has no second factor"),
        done => done?,
    }
    Ok(output::line(format_args!("removed the second factor of {username:?}; the password alone signs in now"))?)
}

async fn list(panel: &Panel, args: &ListArgs) -> anyhow::Result<()> {
    let (page, _) = admins::list(panel, &args.username, args.limit, args.offset).await?;
    if args.json {
        return output::json(&page.iter().map(document).collect::<Vec<_>>());
    }
    let mut table = output::table();
    table.set_header(["USERNAME", "SUDO", "ROLE", "ENABLED", "SERVICES", "USERS' TRAFFIC"]);
    for AdminUsage { admin, users_data_usage } in &page {
        let services = match (admin.may_give_all_services(), admin.service_ids.len()) {
            (true, _) => "all".to_owned(),
            (false, count) => count.to_string(),
        };
        let yes_or_no = |it: bool| if it { "yes" } else { "no" }.to_owned();
        table.add_row([
            output::plain(&admin.username),
            yes_or_no(admin.is_sudo),
            output::plain(admin.role_name()),
            yes_or_no(admin.enabled),
            services,
            binary_bytes(*users_data_usage),
        ]);
    }
    Ok(output::print(table)?)
}

async fn import_from_env(panel: &Panel, settings: &Settings, args: &ImportArgs) -> anyhow::Result<()> {
    let (Some(username), Some(password)) =
        (settings.admins.sudo_username.clone(), settings.admins.sudo_password.clone())
    else {
        return Err(UsageError::new("SUDO_USERNAME and SUDO_PASSWORD are not both set; set both").into());
    };
    let (done, admin) = match find(panel, &username).await? {
        None => (
            "created",
            admins::create(panel, Actor::Operator, NewAdmin::usual(username.as_str(), password, true)).await?,
        ),
        Some(_) => {
            let question =
                format!("Admin {username:?} already exists. Grant it sudo rights and the password of SUDO_PASSWORD?");
            terminal::confirm(args.yes, &question)?;
            ("updated", change(panel, &username, as_sudo(password)).await?)
        }
    };
    let adopted = admins::adopt_users(panel, &admin).await?;
    let users = output::counted(adopted, "user", "users");
    output::line(format_args!("{done} sudo admin {username:?}, and made it the owner of {users} without an owner"))?;
    Ok(output::line("remove SUDO_USERNAME and SUDO_PASSWORD from the environment now; only this command reads them")?)
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

async fn must_exist(panel: &Panel, username: &str) -> anyhow::Result<()> {
    match find(panel, username).await? {
        Some(_) => Ok(()),
        None => anyhow::bail!("admin {username:?} not found; `sarban admin list` shows all admins"),
    }
}

async fn change(panel: &Panel, username: &str, change: AdminChange) -> anyhow::Result<Admin> {
    Ok(admins::update(panel, Actor::Operator, username, change).await?.admin)
}

fn kind(admin: &Admin) -> String {
    match &admin.role {
        Some(role) => format!("admin with the role {:?}", role.name),
        None if admin.is_sudo => "sudo admin".to_owned(),
        None => "admin".to_owned(),
    }
}

/// The admin as JSON, with the fields that the API has.
fn document(AdminUsage { admin, users_data_usage }: &AdminUsage) -> Value {
    json!({
        "username": admin.username,
        "is_sudo": admin.is_sudo,
        "role": admin.role_name(),
        "enabled": admin.enabled,
        "all_services_access": admin.all_services_access,
        "modify_users_access": admin.modify_users_access,
        "service_ids": admin.service_ids.iter().map(|id| id.0).collect::<Vec<_>>(),
        "subscription_url_prefix": admin.subscription_url_prefix,
        "users_data_usage": users_data_usage,
    })
}
