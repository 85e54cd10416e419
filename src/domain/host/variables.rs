//! The variables of host templates for one user at one moment. Each value is computed on first use and once for a whole
//! subscription; most templates use two or three.

use std::cell::OnceCell;

use jiff::civil::Date;

use crate::domain::bytes::template_bytes;
use crate::domain::jalali;
use crate::domain::moment::{DAY, Moment, SECOND};
use crate::domain::panel_address::ServerAddresses;
use crate::domain::user::{Expiry, User};

const ENDLESS: &str = "∞";

/// The variables of one user at one moment.
#[derive(Clone, Debug)]
pub struct HostVariables<'a> {
    user: &'a User,
    server: ServerAddresses<'a>,
    now: Moment,
    data_usage: OnceCell<String>,
    data_limit: OnceCell<String>,
    data_left: OnceCell<String>,
    days_left: OnceCell<String>,
    expire_date: OnceCell<String>,
    jalali_expire_date: OnceCell<String>,
    time_left: OnceCell<String>,
}

impl<'a> HostVariables<'a> {
    /// Computes no value yet.
    pub fn of(user: &'a User, server: impl Into<ServerAddresses<'a>>, now: Moment) -> Self {
        Self {
            user,
            server: server.into(),
            now,
            data_usage: OnceCell::new(),
            data_limit: OnceCell::new(),
            data_left: OnceCell::new(),
            days_left: OnceCell::new(),
            expire_date: OnceCell::new(),
            jalali_expire_date: OnceCell::new(),
            time_left: OnceCell::new(),
        }
    }

    /// The user.
    pub const fn user(&self) -> &'a User {
        self.user
    }

    /// The panel's own address.
    pub const fn server(&self) -> ServerAddresses<'a> {
        self.server
    }

    /// The moment.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// The value of a variable; `protocol` and `transport` are the host's.
    pub fn get<'b>(&'b self, name: &str, protocol: Option<&'b str>, transport: Option<&'b str>) -> Option<&'b str> {
        let user = self.user;
        Some(match name {
            "SERVER_IP" => return self.server.ipv4,
            "SERVER_IPV6" => return self.server.ipv6,
            "USERNAME" => user.username.as_deref().unwrap_or_default(),
            "DATA_USAGE" => self.data_usage.get_or_init(|| template_bytes(user.used_traffic)),
            "DATA_LIMIT" => self.data_limit.get_or_init(|| user.data_limit.map_or_else(endless, template_bytes)),
            "DATA_LEFT" => self.data_left.get_or_init(|| user.data_left().map_or_else(endless, template_bytes)),
            "DAYS_LEFT" => self.days_left.get_or_init(|| self.days_left()),
            "EXPIRE_DATE" => self.expire_date.get_or_init(|| self.expire_date(iso)),
            "JALALI_EXPIRE_DATE" => self.jalali_expire_date.get_or_init(|| self.expire_date(jalali::iso)),
            "TIME_LEFT" => self.time_left.get_or_init(|| self.time_left()),
            "STATUS_EMOJI" if user.is_active(self.now) => "✅",
            "STATUS_EMOJI" => "❌",
            "PROTOCOL" => return protocol,
            "TRANSPORT" => return transport,
            _ => return None,
        })
    }

    /// Days until the expiry, rounded up.
    fn days_left(&self) -> String {
        match self.user.expiry {
            Expiry::Never => endless(),
            Expiry::FixedDate(at) => (at.since(self.now).div_euclid(DAY) + 1).to_string(),
            Expiry::StartOnFirstUse { duration, .. } => duration.div_euclid(86_400).to_string(),
        }
    }

    fn expire_date(&self, write: fn(Date) -> String) -> String {
        match self.user.expiry {
            Expiry::Never => endless(),
            Expiry::FixedDate(at) => write(at.civil().date()),
            Expiry::StartOnFirstUse { .. } => "-".to_owned(),
        }
    }

    fn time_left(&self) -> String {
        match self.user.expiry {
            Expiry::Never => endless(),
            Expiry::FixedDate(at) => time_left(at.since(self.now).div_euclid(SECOND)),
            Expiry::StartOnFirstUse { duration, .. } => time_left(duration),
        }
    }
}

fn endless() -> String {
    ENDLESS.to_owned()
}

fn iso(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

/// Months of 30 days, days, hours, minutes, seconds; small units only when there are no large ones.
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
    fn time_left_drops_units_that_are_too_small_to_matter() {
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
