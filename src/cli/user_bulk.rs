//! `sarban user bulk`: one change of many users, with the filters and actions of `POST /api/users/bulk`.

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::operator::{explained, operator};
use super::usage_error::UsageError;
use super::{output, terminal};
use crate::actions::Panel;
use crate::actions::users;
use crate::actions::users::bulk_change::{self, Selection, Wanted};
use crate::actions::users::totals::TotalCache;
use crate::config::Settings;
use crate::domain::ids::ServiceId;
use crate::domain::moment::Moment;
use crate::domain::user::bulk::{BulkChange, MAX_DATA, MAX_EXTENSION};
use crate::store::users::list::{Names, NearlyLimited, UserFilter, UserSort, UserWindow};

const DAY: i64 = 86_400;
const GIB: i64 = 1 << 30;

/// Arguments of `sarban user bulk`.
#[derive(Debug, Args)]
pub struct BulkArgs {
    /// Change to make
    #[arg(value_enum)]
    action: BulkAction,
    #[command(flatten)]
    users: Users,
    #[command(flatten)]
    values: Values,
    /// Only count the users
    #[arg(long)]
    dry_run: bool,
    /// Skip the confirmation
    #[arg(short, long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Key of a run that broke off, as its error says it, for the same command again: no part is made twice, for a day
    #[arg(long, value_name = "UUID")]
    key: Option<Uuid>,
}

/// A change of many users.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BulkAction {
    Enable,
    Disable,
    /// Reset the used traffic to zero
    Reset,
    /// Replace the keys, so that present links stop working
    RevokeSub,
    Delete,
    /// Extend the expiry, by --days or --seconds
    Extend,
    /// Raise data limits, by --gib or --bytes
    AddData,
    /// Give the users to the admin --to
    SetOwner,
    /// Add the service --service
    AddService,
    /// Remove the service --service
    RemoveService,
}

/// The users to change: those who meet all conditions.
#[derive(Debug, Args)]
#[command(next_help_heading = "Users")]
struct Users {
    /// All users, if there is no condition
    #[arg(long)]
    all: bool,
    /// Names that contain this text; if given several times: exactly these names
    #[arg(short, long, value_name = "TEXT")]
    username: Vec<String>,
    /// Users of this admin
    #[arg(long, value_name = "ADMIN")]
    owner: Option<String>,
    /// Users with this service
    #[arg(long, value_name = "ID")]
    with_service: Option<i64>,
    /// Users whose account works now; =false: does not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    active: Option<bool>,
    /// Users that nodes accept; =false: refuse
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    activated: Option<bool>,
    /// Users whose fixed expiry date has passed; =false: has not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    expired: Option<bool>,
    /// Users whose fixed expiry date is before this one, such as 2027-01-31 or 2027-01-31T12:00:00 (UTC)
    #[arg(long, value_name = "DATE", value_parser = date)]
    expires_before: Option<Moment>,
    /// Users who have used up their data limit; =false: have not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    limited: Option<bool>,
    /// Users who have used NOTIFY_REACHED_USAGE_PERCENT of their data limit and not all of it; =false: the others
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    nearly_limited: Option<bool>,
    /// Enabled users; =false: disabled ones
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    enabled: Option<bool>,
    /// Users who wait for their first use; =false: do not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    on_hold: Option<bool>,
}

/// The values of a change.
#[derive(Debug, Args)]
#[command(next_help_heading = "Values")]
struct Values {
    /// For extend: number of days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=MAX_EXTENSION / DAY))]
    days: Option<i64>,
    /// For extend: number of seconds
    #[arg(long, value_name = "N", conflicts_with = "days", value_parser = clap::value_parser!(i64).range(1..=MAX_EXTENSION))]
    seconds: Option<i64>,
    /// For add-data: number of GiB
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=MAX_DATA / GIB))]
    gib: Option<i64>,
    /// For add-data: number of bytes
    #[arg(long, value_name = "N", conflicts_with = "gib", value_parser = clap::value_parser!(i64).range(1..=MAX_DATA))]
    bytes: Option<i64>,
    /// For set-owner: name of the admin who becomes the owner
    #[arg(long, value_name = "ADMIN")]
    to: Option<String>,
    /// For add-service and remove-service
    #[arg(long, value_name = "ID")]
    service: Option<i64>,
}

pub(super) async fn run(panel: &Panel, settings: &Settings, args: BulkArgs) -> anyhow::Result<()> {
    let wanted = args.values.wanted(args.action)?;
    let filter = args.users.filter(settings.notify.usage_percent);
    let owner = args.users.owner;
    if filter == UserFilter::default() && owner.is_none() && !args.users.all {
        return Err(UsageError::new("no condition is given; choose users by one, or give --all").into());
    }
    let named = |error| explained(error, "", args.values.to.as_deref().or(owner.as_deref()).unwrap_or_default());
    let window = UserWindow { sort: UserSort::Id, descending: false, offset: 0, limit: 0 };
    let totals = TotalCache::new(panel);
    let counted = users::list(panel, &totals, &operator(), filter.clone(), owner.as_deref(), window).await;
    let (_, count) = counted.map_err(|error| explained(error, "", owner.as_deref().unwrap_or_default()))?;
    if args.dry_run {
        return match args.json {
            true => output::json(&json!({"matched": count, "changed": 0, "dry_run": true})),
            false => {
                let matching = output::counted(count, "user matches", "users match");
                Ok(output::line(format_args!("{matching}; nothing was changed"))?)
            }
        };
    }
    terminal::confirm(args.yes, &format!("{}: {}?", args.action.word(), output::counted(count, "user", "users")))?;
    let run = args.key.unwrap_or_else(Uuid::new_v4);
    let (mut matched, mut changed, mut cursor) = (0, 0, None);
    for part_number in 0.. {
        let key = Uuid::from_u128(run.as_u128().wrapping_add(part_number));
        let selection = Selection::Matching { filter: filter.clone(), owner_username: owner.clone(), cursor };
        let part = bulk_change::change(panel, &operator(), Some(key), selection, wanted.clone()).await.map_err(named);
        let part = part.with_context(|| {
            let users = output::counted(matched, "user", "users");
            format!("stopped after {users}, of whom {changed} were changed; to go on, give the same command with --key {run}")
        })?;
        matched += part.matched;
        changed += part.changed;
        cursor = part.cursor;
        if cursor.is_none() {
            break;
        }
    }
    match args.json {
        true => output::json(&json!({"matched": matched, "changed": changed, "dry_run": false})),
        false => {
            let users = output::counted(matched, "user", "users");
            Ok(output::line(format_args!("{users} matched, {changed} changed"))?)
        }
    }
}

impl BulkAction {
    /// The name of the argument.
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Users {
    fn filter(&self, percent: u32) -> UserFilter {
        UserFilter {
            names: match self.username.as_slice() {
                [] => Names::Any,
                [text] if text.is_empty() => Names::Any,
                [text] => Names::Containing(text.clone()),
                names => Names::Exactly(names.to_vec()),
            },
            owner: None,
            service: self.with_service.map(ServiceId),
            is_active: self.active,
            activated: self.activated,
            expired: self.expired,
            data_limit_reached: self.limited,
            nearly_limited: self.nearly_limited.map(|is| NearlyLimited { is, percent }),
            enabled: self.enabled,
            on_hold: self.on_hold,
            expires_before: self.expires_before,
        }
    }
}

impl Values {
    fn wanted(&self, action: BulkAction) -> Result<Wanted, UsageError> {
        let missing = |argument: &str| UsageError(format!("{} needs {argument}", action.word()));
        let service = || self.service.map(ServiceId).ok_or_else(|| missing("--service"));
        Ok(Wanted::Change(match action {
            BulkAction::Enable => BulkChange::Enable,
            BulkAction::Disable => BulkChange::Disable,
            BulkAction::Reset => BulkChange::ResetTraffic,
            BulkAction::RevokeSub => BulkChange::Revoke,
            BulkAction::Delete => BulkChange::Delete,
            BulkAction::Extend => {
                let seconds = self.seconds.or(self.days.map(|days| days * DAY));
                BulkChange::Extend(seconds.ok_or_else(|| missing("--days or --seconds"))?)
            }
            BulkAction::AddData => {
                let bytes = self.bytes.or(self.gib.map(|gib| gib * GIB));
                BulkChange::AddData(bytes.ok_or_else(|| missing("--gib or --bytes"))?)
            }
            BulkAction::SetOwner => return self.to.clone().map(Wanted::SetOwner).ok_or_else(|| missing("--to")),
            BulkAction::AddService => BulkChange::AddService(service()?),
            BulkAction::RemoveService => BulkChange::RemoveService(service()?),
        }))
    }
}

fn date(text: &str) -> Result<Moment, String> {
    Moment::parse(text).ok_or_else(|| "must be a date such as 2027-01-31 or 2027-01-31T12:00:00".to_owned())
}
