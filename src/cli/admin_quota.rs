//! `sarban admin quota …`: quotas of admins from the panel's machine.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::output;
use crate::actions::Panel;
use crate::actions::admins::Actor;
use crate::actions::quotas::{self, QuotaState};
use crate::domain::bytes::binary_bytes;
use crate::domain::quota::{MOST, Quota, WhenUsedUp};
use crate::domain::user::ResetStrategy;
use crate::domain::user::edit::MAX_USAGE_DURATION;

/// Commands for quotas of admins.
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Print the quota of an admin and what is used of it
    Show(ShowArgs),
    /// Change limits of an admin; those that are not given stay as they are
    Set(SetArgs),
    /// Reset the traffic of a quota: it counts from now on, and users disabled by it are enabled again
    Reset(ShowArgs),
}

/// Arguments of `sarban admin quota show` and `reset`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Name of the admin
    #[arg(short, long)]
    username: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarban admin quota set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Name of the admin
    #[arg(short, long)]
    username: String,
    /// Most users, or "none"
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    users: Option<Limit>,
    /// Most active users, or "none"
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    active_users: Option<Limit>,
    /// Most traffic of all users in a period, in bytes, or "none"
    #[arg(long, value_name = "BYTES", value_parser = limit)]
    traffic: Option<Limit>,
    /// Length of the period of traffic
    #[arg(long, value_enum)]
    traffic_reset_strategy: Option<Period>,
    /// Largest data limit of a user, in bytes, or "none"
    #[arg(long, value_name = "BYTES", value_parser = limit)]
    max_data_limit: Option<Limit>,
    /// Longest duration of an account, in seconds, or "none"
    #[arg(long, value_name = "SECONDS", value_parser = duration)]
    max_duration: Option<Limit>,
    /// Consequence of used-up traffic: new users are refused, or all users are disabled, too
    #[arg(long, value_enum)]
    when_used_up: Option<UsedUp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A limit; `None` removes it.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<i64>);

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Period {
    NoReset,
    Day,
    Week,
    Month,
    Year,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UsedUp {
    Refuse,
    Disable,
}

fn limit(text: &str) -> Result<Limit, String> {
    up_to(text, MOST)
}

fn duration(text: &str) -> Result<Limit, String> {
    up_to(text, MAX_USAGE_DURATION)
}

fn up_to(text: &str, most: i64) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number
        .map(|number| Limit(Some(number)))
        .ok_or_else(|| format!("must be \"none\" or a whole number from 1 to {most}"))
}

pub(super) async fn run(panel: &Panel, command: QuotaCommand) -> anyhow::Result<()> {
    match command {
        QuotaCommand::Show(args) => print(&quotas::of(panel, &args.username).await?, args.json),
        QuotaCommand::Reset(args) => print(&quotas::reset(panel, Actor::Operator, &args.username).await?, args.json),
        QuotaCommand::Set(args) => {
            let before = quotas::of(panel, &args.username).await?.quota;
            let state = quotas::set(panel, Actor::Operator, &args.username, &args.applied_to(before)).await?;
            print(&state, args.json)
        }
    }
}

impl SetArgs {
    fn applied_to(&self, quota: Quota) -> Quota {
        let or = |new: Option<Limit>, old: Option<i64>| new.map_or(old, |limit| limit.0);
        Quota {
            users: or(self.users, quota.users),
            active_users: or(self.active_users, quota.active_users),
            traffic: or(self.traffic, quota.traffic),
            traffic_reset_strategy: match self.traffic_reset_strategy {
                None => quota.traffic_reset_strategy,
                Some(Period::NoReset) => ResetStrategy::NoReset,
                Some(Period::Day) => ResetStrategy::Day,
                Some(Period::Week) => ResetStrategy::Week,
                Some(Period::Month) => ResetStrategy::Month,
                Some(Period::Year) => ResetStrategy::Year,
            },
            max_data_limit: or(self.max_data_limit, quota.max_data_limit),
            max_duration: or(self.max_duration, quota.max_duration),
            when_used_up: match self.when_used_up {
                None => quota.when_used_up,
                Some(UsedUp::Refuse) => WhenUsedUp::Refuse,
                Some(UsedUp::Disable) => WhenUsedUp::Disable,
            },
        }
    }
}

fn print(state: &QuotaState, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::json(&document(state));
    }
    let QuotaState { quota, used, .. } = state;
    let none = || "none".to_owned();
    let mut table = output::table();
    table.set_header(["QUOTA", "USED", "LIMIT"]);
    table.add_row([
        "users".to_owned(),
        used.users.to_string(),
        quota.users.map_or_else(none, |limit| limit.to_string()),
    ]);
    let active = quota.active_users.map_or_else(none, |limit| limit.to_string());
    table.add_row(["active users".to_owned(), used.active_users.to_string(), active]);
    let traffic = quota.traffic.map_or_else(none, binary_bytes);
    table.add_row([format!("traffic ({})", quota.traffic_reset_strategy.word()), binary_bytes(used.traffic), traffic]);
    table.add_row([
        "data limit per user".to_owned(),
        String::new(),
        quota.max_data_limit.map_or_else(none, binary_bytes),
    ]);
    let seconds = quota.max_duration.map_or_else(none, |seconds| format!("{seconds} s"));
    table.add_row(["duration per user".to_owned(), String::new(), seconds]);
    table.add_row(["when traffic is used up".to_owned(), String::new(), quota.when_used_up.word().to_owned()]);
    output::print(table)?;
    if state.disabled_users > 0 {
        output::line(format_args!("{} users are disabled because the traffic is used up", state.disabled_users))?;
    }
    Ok(())
}

/// The quota as JSON, with the fields that the API has.
fn document(state: &QuotaState) -> Value {
    let QuotaState { username, quota, used, counted_since, next_reset_at, disabled_users } = state;
    json!({
        "username": username,
        "limits": {
            "users": quota.users,
            "active_users": quota.active_users,
            "traffic": quota.traffic,
            "traffic_reset_strategy": quota.traffic_reset_strategy.word(),
            "max_data_limit": quota.max_data_limit,
            "max_duration": quota.max_duration,
            "when_used_up": quota.when_used_up.word(),
        },
        "used": {"users": used.users, "active_users": used.active_users, "traffic": used.traffic},
        "counted_since": counted_since.map(|since| since.utc_iso()),
        "next_reset_at": next_reset_at.map(|at| at.utc_iso()),
        "is_used_up": quota.is_used_up(used.traffic),
        "disabled_users": disabled_users,
    })
}
