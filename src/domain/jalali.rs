//! Dates of the Iranian calendar by its 33-year cycle: 20 lines in place of a crate.

use jiff::civil::{Date, date};

/// 1 Farvardin 1386, the first day of a cycle.
const START: Date = date(2007, 3, 21);
const START_YEAR: i64 = 1386;
const CYCLE_YEARS: i64 = 33;
const CYCLE_DAYS: i64 = 33 * 365 + LEAP_YEARS.len() as i64;
/// The leap years of a cycle.
const LEAP_YEARS: [i64; 8] = [1, 5, 9, 13, 17, 22, 26, 30];

/// `YYYY-MM-DD` in the Iranian calendar.
pub fn iso(of: Date) -> String {
    let days = START.until(of).map_or(0, |span| i64::from(span.get_days()));
    let mut year = START_YEAR + days.div_euclid(CYCLE_DAYS) * CYCLE_YEARS;
    let mut day = days.rem_euclid(CYCLE_DAYS);
    for of_cycle in 0..CYCLE_YEARS {
        let length = 365 + i64::from(LEAP_YEARS.contains(&of_cycle));
        if day < length {
            break;
        }
        day -= length;
        year += 1;
    }
    // Six months of 31 days, then months of 30; the last is shorter except in leap years.
    let (month, day) = if day < 186 { (day / 31, day % 31) } else { (6 + (day - 186) / 30, (day - 186) % 30) };
    format!("{year:04}-{:02}-{:02}", month + 1, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_are_converted() {
        for (of, text) in [
            (date(1979, 2, 11), "1357-11-22"),
            (date(2007, 3, 21), "1386-01-01"),
            (date(2017, 3, 20), "1395-12-30"),
            (date(2017, 3, 21), "1396-01-01"),
            (date(2021, 3, 20), "1399-12-30"),
            (date(2024, 3, 20), "1403-01-01"),
            (date(2024, 9, 22), "1403-07-01"),
            (date(2025, 3, 20), "1403-12-30"),
            (date(2025, 3, 21), "1404-01-01"),
            (date(2031, 5, 6), "1410-02-16"),
        ] {
            assert_eq!(iso(of), text, "{of}");
        }
    }

    #[test]
    fn first_and_last_day_are_converted() {
        assert!(iso(date(1, 1, 1)).starts_with("-621-"));
        assert!(iso(date(9999, 12, 31)).starts_with("9378-"));
    }
}
