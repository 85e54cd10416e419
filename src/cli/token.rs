//! `sarban token …`: manages API tokens of all admins from the panel's machine.

use clap::{Args, Subcommand};
use serde::Serialize;
use uuid::Uuid;

use super::usage_error::UsageError;
use super::{output, panel, terminal};
use crate::actions::Panel;
use crate::actions::admins::{self, Actor};
use crate::actions::api_tokens::{self, Author, NewToken};
use crate::config::Settings;
use crate::config::secret::Secret;
use crate::domain::api_token::ApiTokenDocument;
use crate::domain::moment::DAY;
use crate::domain::networks::network;
use crate::domain::scope::Scopes;
use crate::store::access::api_tokens::OwnedToken;

const OPERATOR: Author<'_> = Author { actor: Actor::Operator, token: None };

/// Commands for API tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make an API token and print it; it can't be printed again
    Create(CreateArgs),
    /// List API tokens, without their secrets
    List(ListArgs),
    /// Give an API token a new secret and print it; it can't be printed again
    Rotate(RotateArgs),
    /// Revoke an API token
    Revoke(RevokeArgs),
}

/// Arguments of `sarban token create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the admin for whom the token acts
    #[arg(short, long)]
    admin: String,
    /// A name for the token
    #[arg(short, long)]
    name: String,
    /// A scope of the token, such as users:read, services:*, *:read or *; may be repeated
    #[arg(short, long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A network from which the token may be used, such as 192.0.2.0/24; may be repeated
    #[arg(long = "address", value_name = "NETWORK")]
    addresses: Vec<String>,
    /// Days after which the token expires
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    expires_in_days: Option<i64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarban token list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only the tokens of this admin
    #[arg(short, long)]
    admin: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarban token rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Id of the token, as `sarban token list` shows it
    #[arg(value_parser = token_id)]
    id: Uuid,
    /// Hours for which the secret so far stays good
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=720))]
    overlap_hours: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarban token revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Id of the token, as `sarban token list` shows it
    #[arg(value_parser = token_id)]
    id: Uuid,
    /// Skip the confirmation
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(command: TokenCommand, settings: &Settings) -> anyhow::Result<()> {
    let panel = panel::open(settings).await?;
    let result = match command {
        TokenCommand::Create(args) => create(&panel, args).await,
        TokenCommand::List(args) => list(&panel, &args).await,
        TokenCommand::Rotate(args) => rotate(&panel, &args).await,
        TokenCommand::Revoke(args) => revoke(&panel, &args).await,
    };
    panel::close(panel, settings).await;
    result
}

async fn create(panel: &Panel, args: CreateArgs) -> anyhow::Result<()> {
    if args.scopes.is_empty() {
        return Err(UsageError::new("the token needs a scope; give --scope such as users:read").into());
    }
    let mut scopes = Scopes::default();
    for text in &args.scopes {
        scopes = scopes
            .with(text)
            .map_err(|_| UsageError::new(format!("unknown scope {text:?}; give {}", Scopes::known())))?;
    }
    let mut addresses = Vec::new();
    for text in &args.addresses {
        let network = network(text);
        addresses.push(
            network.ok_or_else(|| {
                UsageError::new(format!("not a network: {text:?}; give --address such as 192.0.2.0/24"))
            })?,
        );
    }
    let expires_at = args.expires_in_days.map(|days| panel.clock.now().plus(days * DAY));
    let new = NewToken { name: args.name, scopes, addresses, expires_at };
    let (token, secret) = api_tokens::create(panel, OPERATOR, &args.admin, new).await?;
    print(&token, &secret, args.json)
}

async fn list(panel: &Panel, args: &ListArgs) -> anyhow::Result<()> {
    let admin = match &args.admin {
        Some(name) => Some(admins::by_name(panel, name).await?.admin.id),
        None => None,
    };
    let (tokens, _) = api_tokens::list(panel, admin, i64::MAX, 0).await?;
    if args.json {
        return output::json(&tokens.iter().map(OwnedToken::document).collect::<Vec<_>>());
    }
    let mut table = output::table();
    table.set_header(["ID", "ADMIN", "NAME", "SCOPES", "EXPIRES", "LAST USED"]);
    for OwnedToken { token, admin } in &tokens {
        table.add_row([
            token.id.to_string(),
            output::plain(admin),
            output::plain(&token.name),
            token.scopes.texts().join(","),
            token.expires_at.map_or_else(|| "never".to_owned(), |at| at.utc_iso()),
            token.last_used_at.map_or_else(|| "never".to_owned(), |at| at.utc_iso()),
        ]);
    }
    Ok(output::print(table)?)
}

async fn rotate(panel: &Panel, args: &RotateArgs) -> anyhow::Result<()> {
    let (token, secret) = api_tokens::rotate(panel, OPERATOR, args.id, args.overlap_hours * 3_600).await?;
    print(&token, &secret, args.json)
}

async fn revoke(panel: &Panel, args: &RevokeArgs) -> anyhow::Result<()> {
    terminal::confirm(args.yes, &format!("Revoke API token {}?", args.id))?;
    let OwnedToken { token, admin } = api_tokens::revoke(panel, OPERATOR, args.id).await?;
    Ok(output::line(format_args!("revoked API token {:?} of admin {admin:?}", token.name))?)
}

/// A token that was made.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    token: ApiTokenDocument,
    secret: &'a str,
}

/// Prints the secret of a token, alone in a line.
fn print(token: &OwnedToken, secret: &Secret, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&Made { token: token.document(), secret: secret.expose() });
    }
    Ok(output::line(secret.expose())?)
}

fn token_id(text: &str) -> Result<Uuid, &'static str> {
    Uuid::try_parse(text).map_err(|_| "must be the id of a token, as `sarban token list` prints it")
}
