//! `sarban role …`: manages roles of admins from the panel's machine.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::usage_error::UsageError;
use super::{output, panel, terminal};
use crate::actions::Panel;
use crate::actions::admins::Actor;
use crate::actions::roles::{self, RoleChange, RoleError};
use crate::config::Settings;
use crate::domain::rights::{Extent, Rights};
use crate::domain::role::Role;
use crate::domain::scope::Scope;
use crate::store::access::roles::UsedRole;

/// Commands for roles.
#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// List roles with their rights
    List(ListArgs),
    /// Create a role
    Create(CreateArgs),
    /// Change a role; its admins have the new rights within a second
    Update(UpdateArgs),
    /// Delete a role that no admin has
    Delete(DeleteArgs),
}

/// Arguments of `sarban role list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarban role create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the role
    name: String,
    /// A right and how far it reaches (own or all), such as users:read=all or users:write=own; may be repeated
    #[arg(short, long = "right", value_name = "RIGHT")]
    rights: Vec<String>,
    /// Its admins must sign in with a second factor
    #[arg(long)]
    require_second_factor: bool,
}

/// Arguments of `sarban role update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Name of the role
    name: String,
    /// A new name
    #[arg(long)]
    rename: Option<String>,
    /// A right and how far it reaches (none, own or all), such as users:read=all; may be repeated. Other rights stay
    #[arg(short, long = "right", value_name = "RIGHT")]
    rights: Vec<String>,
    /// Require a second factor of its admins, or do not
    #[arg(long, value_name = "true|false")]
    require_second_factor: Option<bool>,
}

/// Arguments of `sarban role delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Name of the role
    name: String,
    /// Skip the confirmation
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(command: RoleCommand, settings: &Settings) -> anyhow::Result<()> {
    let panel = panel::open(settings).await?;
    let result = match command {
        RoleCommand::List(args) => list(&panel, &args).await,
        RoleCommand::Create(args) => create(&panel, args).await,
        RoleCommand::Update(args) => update(&panel, args).await,
        RoleCommand::Delete(args) => delete(&panel, &args).await,
    };
    panel::close(panel, settings).await;
    result
}

async fn list(panel: &Panel, args: &ListArgs) -> anyhow::Result<()> {
    let all = roles::list(panel).await?;
    if args.json {
        return output::json(&all.iter().map(document).collect::<Vec<_>>());
    }
    let mut table = output::table();
    table.set_header(["NAME", "ADMINS", "SECOND FACTOR", "RIGHTS"]);
    for UsedRole { role, admins } in &all {
        let factor = if role.requires_second_factor { "required" } else { "optional" };
        table.add_row([output::plain(&role.name), admins.to_string(), factor.to_owned(), rights(role).join(" ")]);
    }
    Ok(output::print(table)?)
}

async fn create(panel: &Panel, args: CreateArgs) -> anyhow::Result<()> {
    let new = RoleChange {
        name: Some(args.name.clone()),
        rights: read(&args.rights)?,
        requires_second_factor: Some(args.require_second_factor),
    };
    let role = roles::create(panel, Actor::Operator, new).await.map_err(|error| explained(error, &args.name))?;
    Ok(output::line(format_args!("created role {:?}", role.name))?)
}

async fn update(panel: &Panel, args: UpdateArgs) -> anyhow::Result<()> {
    let change = RoleChange {
        name: args.rename,
        rights: read(&args.rights)?,
        requires_second_factor: args.require_second_factor,
    };
    let updated = roles::update(panel, Actor::Operator, &args.name, change).await;
    let UsedRole { role, admins } = updated.map_err(|error| explained(error, &args.name))?;
    Ok(output::line(format_args!(
        "updated role {:?}, which {admins} admins have: {}",
        role.name,
        rights(&role).join(" ")
    ))?)
}

async fn delete(panel: &Panel, args: &DeleteArgs) -> anyhow::Result<()> {
    terminal::confirm(args.yes, &format!("Delete role {:?}?", args.name))?;
    roles::delete(panel, Actor::Operator, &args.name).await.map_err(|error| explained(error, &args.name))?;
    Ok(output::line(format_args!("deleted role {:?}", args.name))?)
}

/// Reads the rights of a command line.
fn read(texts: &[String]) -> Result<Vec<(Scope, Extent)>, UsageError> {
    let read = texts.iter().map(|text| Rights::read_one(text));
    read.collect::<Result<_, _>>().map_err(|error| UsageError::new(error.to_string()))
}

fn rights(role: &Role) -> Vec<String> {
    role.rights.texts()
}

/// Adds the name and the next step to the error.
fn explained(error: RoleError, name: &str) -> anyhow::Error {
    match error {
        RoleError::NotFound => anyhow::anyhow!("role {name:?} not found; `sarban role list` shows all roles"),
        other => other.into(),
    }
}

/// The role as JSON.
fn document(UsedRole { role, admins }: &UsedRole) -> Value {
    json!({
        "name": role.name,
        "built_in": role.built_in().is_some(),
        "rights": rights(role),
        "requires_second_factor": role.requires_second_factor,
        "admins": admins,
    })
}
