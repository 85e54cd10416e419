//! `sarban subscription rules`: the client rules, what a client gets by them, and today's rules for old installations.

use clap::Args;
use serde_json::{Value, json};

use super::output;
use crate::actions::{Panel, settings as changes};
use crate::domain::client_rule::{RuleResult, SubscriptionRule};
use crate::store::settings;
use crate::subscription::client_rules::ClientRules;
use crate::subscription::recognition::{Recognition, recognize};
use crate::subscription::rule_offer::{Change, RuleOffer, offer};

/// Arguments of `sarban subscription rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// Print what the client with this User-Agent gets, such as "SFA/1.12.0"
    #[arg(long = "as", value_name = "USER-AGENT", conflicts_with = "take_defaults")]
    user_agent: Option<String>,
    /// Take today's rules for known programs; other clients get the same as before
    #[arg(long)]
    take_defaults: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(panel: &Panel, args: RulesArgs) -> anyhow::Result<()> {
    let rules = settings::subscription(&panel.db).await?.rules;
    if let Some(user_agent) = args.user_agent {
        let found = recognize(&ClientRules::new(&rules), &user_agent);
        return if args.json { output::json(&answer(&rules, &found)) } else { print_answer(&rules, &found) };
    }
    let offer = offer(&rules);
    if args.take_defaults && !offer.changes.is_empty() {
        let rules = changes::take_rules(panel).await?.rules;
        if args.json {
            return output::json(&json!({"rules": rules, "offer": [], "taken": changed(&offer.changes)}));
        }
        print_changes(&offer.changes, "BEFORE", "NOW")?;
        return Ok(output::line(format_args!("took today's rules for {} programs", offer.changes.len()))?);
    }
    if args.json {
        return output::json(&json!({"rules": rules, "offer": changed(&offer.changes), "taken": []}));
    }
    print_rules(&rules)?;
    print_offer(&offer)
}

/// The answer to a client.
fn answer(rules: &[SubscriptionRule], found: &Recognition) -> Value {
    json!({
        "position": found.rule.map(|index| index + 1),
        "rule": found.rule.and_then(|index| rules.get(index)),
        "format": found.format.map(|format| format.client_type),
        "program": found.program.map(|program| program.name),
        "core": found.program.map(|program| program.core.word()),
        "core_version": found.core_version.map(|version| version.to_string()),
        "reads_best": found.program.map(|program| program.reads.word()),
    })
}

fn print_answer(rules: &[SubscriptionRule], found: &Recognition) -> anyhow::Result<()> {
    let Recognition { rule, result, format, program, core_version } = found;
    let rule = rule.and_then(|index| Some((index + 1, &rules.get(index)?.pattern)));
    output::line(match rule {
        Some((position, pattern)) => format!("rule: {position}, {}", output::plain(pattern)),
        None => "rule: none".to_owned(),
    })?;
    output::line(match (format, result) {
        (Some(format), _) => format!("format: {}", format.client_type),
        (None, Some(RuleResult::Template)) => "format: none, the client gets the web page".to_owned(),
        (None, _) => "format: none, the client gets nothing".to_owned(),
    })?;
    let core = match (program, core_version) {
        (Some(program), Some(version)) => format!(", core {} {version}", program.core.word()),
        (Some(program), None) => format!(", core {}, taken for current", program.core.word()),
        (None, _) => String::new(),
    };
    Ok(output::line(format_args!("program: {}{core}", program.map_or("unknown", |program| program.name)))?)
}

fn print_rules(rules: &[SubscriptionRule]) -> anyhow::Result<()> {
    let mut table = output::table();
    table.set_header(["RULE", "FORMAT", "PATTERN"]);
    for (index, rule) in rules.iter().enumerate() {
        table.add_row([(index + 1).to_string(), rule.result.word().to_owned(), output::plain(&rule.pattern)]);
    }
    Ok(output::print(table)?)
}

fn print_offer(offer: &RuleOffer) -> anyhow::Result<()> {
    if offer.changes.is_empty() {
        return Ok(output::line("\nall known programs get what today's rules give them")?);
    }
    output::line("")?;
    print_changes(&offer.changes, "NOW", "TODAY'S RULES")?;
    Ok(output::line(
        "\nthese programs would get something else with today's rules; take them with `sarban subscription rules \
         --take-defaults`; other clients get the same as before",
    )?)
}

fn print_changes(changes: &[Change], now: &str, then: &str) -> anyhow::Result<()> {
    let mut table = output::table();
    table.set_header(["PROGRAM", now, then, "USER-AGENT"]);
    for change in changes {
        table.add_row([
            change.program,
            change.now.map_or("nothing", RuleResult::word),
            change.then.word(),
            change.user_agent,
        ]);
    }
    Ok(output::print(table)?)
}

fn changed(changes: &[Change]) -> Vec<Value> {
    let change = |change: &Change| {
        json!({
            "program": change.program,
            "user_agent": change.user_agent,
            "now": change.now.map(RuleResult::word),
            "then": change.then.word(),
        })
    };
    changes.iter().map(change).collect()
}
