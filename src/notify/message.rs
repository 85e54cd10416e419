//! The texts of Telegram messages: one event, or a digest of many.

use serde_json::Value;

use crate::domain::bytes::binary_bytes;
use crate::domain::notification::Event;
use crate::domain::user::ExpireStrategy;
use crate::store::notify::outbox::OutboxEntry;

/// Names in a digest, shared by its kinds of events. With more, a message could exceed Telegram's 4,096 characters.
const NAMES: usize = 80;

/// Renders one event as Telegram's HTML.
pub(super) fn one(entry: &OutboxEntry) -> String {
    let payload: Value = serde_json::from_str(&entry.payload).unwrap_or_default();
    let user = &payload["user"];
    let event = Event::from_action(&entry.action);
    if event == Some(Event::QuotaReached) {
        return quota(&payload);
    }
    if event == Some(Event::BackUpFailed) {
        let error = escape(payload["error"].as_str().unwrap_or("?"));
        return format!("{} <b>{}</b>\n{}\n{error}", sign(event), headline(event), name(&payload));
    }
    let mut lines = vec![format!("{} <b>{}</b>", sign(event), headline(event)), format!("User: {}", name(&payload))];
    match event {
        Some(Event::Created | Event::Updated) => {
            lines.push(format!("Data: {}", limit(user)));
            lines.push(format!("Expires: {}", expiry(user)));
        }
        Some(Event::ReachedUsagePercent) => {
            lines.push(format!(
                "Used: {} of {}",
                binary_bytes(user["used_traffic"].as_i64().unwrap_or(0)),
                limit(user)
            ));
        }
        Some(Event::ReachedDaysLeft) => lines.push(format!("Expires: {}", expiry(user))),
        Some(Event::Deactivated) => lines.push(format!("Reason: {}", reason(user))),
        _ => {}
    }
    if let Some(owner) = user["owner_username"].as_str() {
        lines.push(format!("Owner: {}", escape(owner)));
    }
    if let Some(by) = payload["by"]["username"].as_str() {
        lines.push(format!("By: {}", escape(by)));
    }
    lines.join("\n")
}

/// Number of names that a digest of `kinds` kinds of events lists for each kind.
pub(super) const fn names_of_each(kinds: usize) -> usize {
    match NAMES.checked_div(kinds) {
        Some(each) => each,
        None => NAMES,
    }
}

/// Renders a digest: the number of events of each kind, in the order of `kinds`, with the names in `entries`.
pub(super) fn digest(kinds: &[(String, usize)], entries: &[OutboxEntry]) -> String {
    let total: usize = kinds.iter().map(|(_, count)| count).sum();
    let mut parts = vec![format!("📋 <b>{total} events</b>")];
    for (action, count) in kinds {
        let event = Event::from_action(action);
        let names: Vec<String> = entries
            .iter()
            .filter(|entry| entry.action == *action)
            .take(names_of_each(kinds.len()))
            .map(|entry| {
                let payload: Value = serde_json::from_str(&entry.payload).unwrap_or_default();
                name(&payload)
            })
            .collect();
        let more = count.saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("{} {}: <b>{count}</b>\n{}{more}", sign(event), headline(event), names.join(", ")));
    }
    parts.join("\n\n")
}

const fn headline(event: Option<Event>) -> &'static str {
    match event {
        Some(Event::Created) => "New user",
        Some(Event::Updated) => "User edited",
        Some(Event::Activated) => "Account activated",
        Some(Event::Deactivated) => "Account deactivated",
        Some(Event::Deleted) => "User deleted",
        Some(Event::Enabled) => "User enabled",
        Some(Event::Disabled) => "User disabled",
        Some(Event::UsageReset) => "Data usage reset",
        Some(Event::SubscriptionRevoked) => "New subscription link",
        Some(Event::ReachedUsagePercent) => "Data is running out",
        Some(Event::ReachedDaysLeft) => "Account expires soon",
        Some(Event::BackUpFailed) => "Back-up failed",
        Some(Event::QuotaReached) => "A quota is running out",
        // An entry of a newer version.
        None => "Other event",
    }
}

const fn sign(event: Option<Event>) -> &'static str {
    match event {
        Some(Event::Created) => "🆕",
        Some(Event::Activated | Event::Enabled) => "✅",
        Some(Event::Deactivated | Event::Disabled) => "⛔",
        Some(Event::Deleted) => "🗑",
        Some(Event::UsageReset) => "♻️",
        Some(Event::SubscriptionRevoked) => "🔑",
        Some(Event::ReachedUsagePercent | Event::ReachedDaysLeft | Event::QuotaReached) => "⏳",
        Some(Event::BackUpFailed) => "⚠️",
        Some(Event::Updated) | None => "✏️",
    }
}

/// Renders a threshold of an admin's quota.
fn quota(payload: &Value) -> String {
    let kind = payload["quota"].as_str().unwrap_or_default();
    let number = |field: &str| {
        let number = payload[field].as_i64().unwrap_or(0);
        if kind == "traffic" { binary_bytes(number) } else { number.to_string() }
    };
    let event = Some(Event::QuotaReached);
    [
        format!("{} <b>{}</b>", sign(event), headline(event)),
        format!("Admin: {}", name(payload)),
        format!("Quota: {}", escape(kind).replace('_', " ")),
        format!("Used: {} of {} ({} %)", number("used"), number("limit"), payload["percent"]),
    ]
    .join("\n")
}

/// The user's name, the place of a back-up, or the beginning of an admin's name, which may be long.
fn name(payload: &Value) -> String {
    let of = |object: &str| payload[object]["username"].as_str();
    let name = of("user").or_else(|| payload["place"].as_str()).or_else(|| of("admin")).unwrap_or("?");
    let name = if payload["admin"].is_object() { name.chars().take(32).collect() } else { name.to_owned() };
    format!("<code>{}</code>", escape(&name))
}

fn limit(user: &Value) -> String {
    user["data_limit"].as_i64().map_or_else(|| "unlimited".to_owned(), binary_bytes)
}

fn expiry(user: &Value) -> String {
    let strategy = user["expire_strategy"].as_str().and_then(ExpireStrategy::from_word);
    match (strategy, user["expire_date"].as_str(), user["usage_duration"].as_i64()) {
        (Some(ExpireStrategy::FixedDate), Some(date), _) => {
            format!("{} UTC", escape(date.get(..16).unwrap_or(date)).replace('T', " "))
        }
        (Some(ExpireStrategy::StartOnFirstUse), _, Some(seconds)) => {
            format!("{} days after the first use", seconds / 86_400)
        }
        _ => "never".to_owned(),
    }
}

fn reason(user: &Value) -> &'static str {
    let is = |field: &str| user[field].as_bool() == Some(true);
    if is("expired") {
        "expired"
    } else if is("data_limit_reached") {
        "data limit reached"
    } else {
        "disabled"
    }
}

/// Escapes text for Telegram's HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(action: &str, payload: &Value) -> OutboxEntry {
        OutboxEntry {
            id: 1,
            channel: "telegram".to_owned(),
            recipient: "1".to_owned(),
            cause: String::new(),
            action: action.to_owned(),
            user_id: 1,
            payload: payload.to_string(),
            created_at: 0,
            state: "waiting".to_owned(),
            attempts: 0,
            next_attempt_at: 0,
            finished_at: None,
            error: None,
        }
    }

    #[test]
    fn message_names_event_user_and_admin() {
        let user = json!({"username": "ann", "data_limit": 10_737_418_240_i64, "used_traffic": 9_000_000_000_i64,
            "expire_strategy": "fixed_date", "expire_date": "2031-05-06T07:08:09", "owner_username": "a<b",
            "expired": true});
        let made = one(&entry("user_created", &json!({"user": user, "by": {"username": "root"}})));
        assert_eq!(
            made,
            "🆕 <b>New user</b>\nUser: <code>ann</code>\nData: 10 GiB\nExpires: 2031-05-06 07:08 UTC\nOwner: a&lt;b\nBy: root"
        );
        let soon = one(&entry("reached_usage_percent", &json!({"user": user})));
        assert!(soon.contains("Used: 8.38 GiB of 10 GiB"), "{soon}");
        let failed = one(&entry("back_up_failed", &json!({"place": "/backup", "error": "disk <full>"})));
        assert_eq!(failed, "⚠️ <b>Back-up failed</b>\n<code>/backup</code>\ndisk &lt;full&gt;");
        let stopped = one(&entry("user_deactivated", &json!({"user": user, "by": null})));
        assert!(stopped.contains("Reason: expired") && !stopped.contains("By:"), "{stopped}");
    }

    #[test]
    fn threshold_of_a_quota_names_the_admin_and_the_use() {
        let payload = json!({"admin": {"username": "a<b"}, "quota": "traffic", "percent": 80, "used": 858_993_459_200_i64,
            "limit": 1_099_511_627_776_i64});
        assert_eq!(
            one(&entry("admin_quota_reached", &payload)),
            "⏳ <b>A quota is running out</b>\nAdmin: <code>a&lt;b</code>\nQuota: traffic\nUsed: 800 GiB of 1 TiB (80 %)"
        );
        let users =
            json!({"admin": {"username": "eve"}, "quota": "active_users", "percent": 100, "used": 5, "limit": 5});
        assert!(one(&entry("admin_quota_reached", &users)).ends_with("Quota: active users\nUsed: 5 of 5 (100 %)"));
        let digest = digest(&[("admin_quota_reached".to_owned(), 1)], &[entry("admin_quota_reached", &users)]);
        assert!(digest.ends_with("<code>eve</code>"), "{digest}");
    }

    #[test]
    fn digest_counts_events_and_names_some_users() {
        let ann = entry("user_deactivated", &json!({"user": {"username": "ann"}}));
        let bob = entry("user_created", &json!({"user": {"username": "bob"}}));
        let kinds = [("user_deactivated".to_owned(), 10_000), ("user_created".to_owned(), 1)];
        assert_eq!(
            digest(&kinds, &[ann, bob]),
            "📋 <b>10001 events</b>\n\n⛔ Account deactivated: <b>10000</b>\n<code>ann</code> and 9999 more\n\n\
             🆕 New user: <b>1</b>\n<code>bob</code>"
        );
    }

    #[test]
    fn digest_of_all_events_fits_into_one_message() {
        let long = json!({"user": {"username": "x".repeat(32)}});
        let admin = json!({"admin": {"username": "x".repeat(256)}});
        let (mut kinds, mut entries) = (Vec::new(), Vec::new());
        for event in Event::ALL {
            kinds.push((event.action().to_owned(), 1_000_000));
            entries.extend(
                (0..names_of_each(Event::ALL.len()))
                    .map(|_| entry(event.action(), if event == Event::QuotaReached { &admin } else { &long })),
            );
        }
        // Telegram counts characters without tags.
        let text = digest(&kinds, &entries).replace("<code>", "").replace("</code>", "");
        assert!(text.encode_utf16().count() <= 4_096, "{}", text.encode_utf16().count());
    }
}
