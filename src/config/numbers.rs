//! Numbers as Python's `int` reads them, and those that the old panel takes and this one does not.

use std::ops::RangeInclusive;

/// A number beyond this panel's bounds that the old panel starts with.
struct Bounds {
    setting: &'static str,
    /// The numbers that are taken.
    taken: RangeInclusive<i64>,
    /// The number in place of a smaller one.
    below: i64,
}

/// 100 years in seconds: a task with this interval does not run.
pub(super) const NEVER: i64 = 3_155_760_000;

const fn bounds(setting: &'static str, taken: RangeInclusive<i64>, below: i64) -> Bounds {
    Bounds { setting, taken, below }
}

/// The settings of the old panel that are numbers.
const BOUNDS: &[Bounds] = &[
    // There 0 means "no limit", and here the default is used.
    bounds("SQLALCHEMY_CONNECTION_POOL_SIZE", 1..=10_000, 10),
    bounds("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", -1..=10_000, -1),
    bounds("TASKS_RECORD_USER_USAGES_INTERVAL", 1..=NEVER, 1),
    bounds("TASKS_REVIEW_USERS_INTERVAL", 1..=NEVER, 1),
    bounds("TASKS_EXPIRE_DAYS_REACHED_INTERVAL", 1..=NEVER, 1),
    bounds("TASKS_RESET_USER_DATA_USAGE", 1..=NEVER, 1),
    // A token that never expires must be asked for with 0.
    bounds("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", 0..=5_256_000, 1440),
    bounds("RECURRENT_NOTIFICATIONS_TIMEOUT", 1..=86_400, 1),
    bounds("NUMBER_OF_RECURRENT_NOTIFICATIONS", 1..=1_000, 1),
    bounds("NOTIFY_REACHED_USAGE_PERCENT", 1..=100, 1),
    bounds("NOTIFY_DAYS_LEFT", 0..=3_650, 0),
];

/// Returns the number to use in place of one that only the old panel takes, with a warning if its meaning is another;
/// none for any other text. The warning continues a sentence that begins with the setting's name.
pub(super) fn replaced(setting: &str, text: &str) -> Option<(i64, Option<String>)> {
    let bounds = BOUNDS.iter().find(|it| it.setting == setting)?;
    let number = digits(text)?;
    let number = number.parse::<i64>().unwrap_or(if number.starts_with('-') { i64::MIN } else { i64::MAX });
    let (min, max) = (*bounds.taken.start(), *bounds.taken.end());
    let instead = if number > max { max } else { bounds.below };
    // All negative numbers of connections mean "none", and all times beyond a century "never".
    let is_same = (setting == "SQLALCHEMY_CONNECTION_MAX_OVERFLOW" && number < min) || (max == NEVER && number > max);
    let warning = || format!("must be from {min} to {max}; {instead} is used in place of {number}");
    (!bounds.taken.contains(&number)).then(|| (instead, (!is_same).then(warning)))
}

/// Returns a number as Python's `int` reads it (`+5`, `1_000`, digits of any script), with ASCII digits.
pub(super) fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let mut digits = sign.to_owned();
    for group in rest.split('_') {
        if group.is_empty() {
            return None;
        }
        for c in group.chars() {
            digits.push(ascii_digit(c)?);
        }
    }
    Some(digits)
}

/// Digits of the languages of the panel: European, Arabic and Persian.
fn ascii_digit(c: char) -> Option<char> {
    let zero = ['0', '\u{660}', '\u{6f0}'].into_iter().find(|zero| (*zero..).take(10).any(|digit| digit == c))?;
    char::from_digit(u32::from(c) - u32::from(zero), 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_python() {
        for (text, number) in
            [("+5", "5"), ("1_000", "1000"), ("-7", "-7"), ("۳۶۰۰", "3600"), ("٣٠", "30"), (" 8 ", "8")]
        {
            assert_eq!(digits(text).as_deref(), Some(number), "{text}");
        }
        for text in ["", "+", "_1", "1__0", "1_", "1.0", "0x10", "--1", "5 s"] {
            assert_eq!(digits(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_beyond_the_bounds_are_replaced_with_a_warning() {
        let of = |setting, text| replaced(setting, text);
        let (number, warning) = of("SQLALCHEMY_CONNECTION_POOL_SIZE", "0").expect("no limit");
        assert_eq!(number, 10);
        assert_eq!(warning.as_deref(), Some("must be from 1 to 10000; 10 is used in place of 0"));
        assert_eq!(of("NOTIFY_DAYS_LEFT", "-1").map(|it| it.0), Some(0));
        assert_eq!(of("TASKS_REVIEW_USERS_INTERVAL", "99999999999999999999"), Some((NEVER, None)));
        assert_eq!(of("SQLALCHEMY_CONNECTION_MAX_OVERFLOW", "-5"), Some((-1, None)));
        for (setting, text) in [
            ("SQLALCHEMY_CONNECTION_POOL_SIZE", "ten"),
            ("TASKS_REVIEW_USERS_INTERVAL", "86401"),
            ("UVICORN_PORT", "0"),
        ] {
            assert_eq!(of(setting, text), None, "{setting}={text}");
        }
    }
}
