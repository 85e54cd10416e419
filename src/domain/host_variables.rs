//! The values that a host's templates can name: one user's, worked out once for a whole subscription.

use jiff::civil::Date;

use super::host_template::readable_bytes;
use super::jalali;
use super::moment::{DAY, Moment, SECOND};
use super::user::{Expiry, User};

const ENDLESS: &str = "∞";

/// The values of one user at one moment.
#[derive(Clone, Debug)]
pub struct HostVariables<'a> {
    server_ip: &'a str,
    username: &'a str,
    data_usage: String,
    data_limit: String,
    data_left: String,
    days_left: String,
    expire_date: String,
    jalali_expire_date: String,
    time_left: String,
    status_emoji: &'static str,
}

impl<'a> HostVariables<'a> {
    /// Works them out.
    pub fn of(user: &'a User, server_ip: &'a str, now: Moment) -> Self {
        let endless = || ENDLESS.to_owned();
        let (days_left, expire_date, jalali_expire_date, time_left) = match user.expiry {
            Expiry::Never => (endless(), endless(), endless(), endless()),
            Expiry::FixedDate(at) => {
                let left = at.since(now);
                let date = at.civil().date();
                (
                    (left.div_euclid(DAY) + 1).to_string(),
                    iso(date),
                    jalali::iso(date),
                    time_left(left.div_euclid(SECOND)),
                )
            }
            Expiry::StartOnFirstUse { duration, .. } => {
                (duration.div_euclid(86_400).to_string(), "-".to_owned(), "-".to_owned(), time_left(duration))
            }
        };
        Self {
            server_ip,
            username: user.username.as_deref().unwrap_or_default(),
            data_usage: readable_bytes(user.used_traffic),
            data_limit: user.data_limit.map_or_else(endless, readable_bytes),
            data_left: user
                .data_limit
                .map_or_else(endless, |limit| readable_bytes(limit.saturating_sub(user.used_traffic))),
            days_left,
            expire_date,
            jalali_expire_date,
            time_left,
            status_emoji: if user.is_active(now) { "✅" } else { "❌" },
        }
    }

    /// The value of a name; `protocol` and `transport` are the host's.
    pub fn get<'b>(&'b self, name: &str, protocol: Option<&'b str>, transport: Option<&'b str>) -> Option<&'b str> {
        Some(match name {
            "SERVER_IP" => self.server_ip,
            "USERNAME" => self.username,
            "DATA_USAGE" => &self.data_usage,
            "DATA_LIMIT" => &self.data_limit,
            "DATA_LEFT" => &self.data_left,
            "DAYS_LEFT" => &self.days_left,
            "EXPIRE_DATE" => &self.expire_date,
            "JALALI_EXPIRE_DATE" => &self.jalali_expire_date,
            "TIME_LEFT" => &self.time_left,
            "STATUS_EMOJI" => self.status_emoji,
            "PROTOCOL" => return protocol,
            "TRANSPORT" => return transport,
            _ => return None,
        })
    }
}

fn iso(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

/// Months of 30 days, days, hours, minutes, seconds; the small ones only when there are no large ones.
fn time_left(seconds: i64) -> String {
    if seconds <= 0 {
        return ENDLESS.to_owned();
    }
    let all_days = seconds / 86_400;
    let (months, days) = (all_days / 30, all_days % 30);
    let hours = if days < 7 { seconds / 3_600 % 24 } else { 0 };
    let short = months == 0 && days == 0;
    let (minutes, rest) = if short { (seconds / 60 % 60, seconds % 60) } else { (0, 0) };
    let parts: Vec<String> = [(months, 'm'), (days, 'd'), (hours, 'h'), (minutes, 'm'), (rest, 's')]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_drops_what_is_too_small_to_matter() {
        for (seconds, text) in [
            (0, "∞"),
            (-5, "∞"),
            (1, "1s"),
            (3_661, "1h 1m 1s"),
            (86_400 + 3_661, "1d 1h"),
            (8 * 86_400 + 3_600, "8d"),
            (30 * 86_400, "1m"),
            (30 * 86_400 + 59, "1m"),
            (1_624 * 86_400 + 10 * 3_600 + 1_900, "54m 4d 10h"),
        ] {
            assert_eq!(time_left(seconds), text, "{seconds}");
        }
    }
}
