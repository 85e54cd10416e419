//! Moments in time: Unix microseconds in UTC, and microseconds since boot for deadlines.

use jiff::civil::{Date, DateTime, date};
use jiff::{SignedDuration, Timestamp};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in an hour.
pub const HOUR: i64 = 3_600 * SECOND;
/// Microseconds in a day.
pub const DAY: i64 = 24 * HOUR;

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// A moment: microseconds since the Unix epoch, UTC. Always within the years 1 to 9999, so that it can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

/// A reading of CLOCK_BOOTTIME in microseconds: comparable on one host and in one boot only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(i64);

impl BootTime {
    /// From microseconds since boot.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since boot.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl Moment {
    /// 0001-01-01T00:00:00.
    pub const MIN: Self = Self(-62_135_596_800 * SECOND);
    /// 9999-12-31T23:59:59.999999.
    pub const MAX: Self = Self(253_402_300_800 * SECOND - 1);

    /// From Unix microseconds, limited to the years 1 to 9999.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Unix microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole unix seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// This moment plus `micros`, limited to the years 1 to 9999.
    pub const fn plus(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// Microseconds since `earlier`; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// The start of this moment's hour (UTC).
    pub const fn hour(self) -> Self {
        Self::from_micros(self.0 - self.0.rem_euclid(HOUR))
    }

    /// The start of this moment's day (UTC).
    pub const fn day(self) -> Self {
        Self::from_micros(self.0 - self.0.rem_euclid(DAY))
    }

    /// Calendar date and time of day in UTC.
    pub fn civil(self) -> DateTime {
        // The range of a moment is within jiff's.
        EPOCH.saturating_add(SignedDuration::from_micros(self.0))
    }

    /// From a calendar date and time in UTC.
    pub fn from_civil(at: DateTime) -> Option<Self> {
        let moment = i64::try_from(at.duration_since(EPOCH).as_micros()).ok()?;
        (Self::MIN.0..=Self::MAX.0).contains(&moment).then_some(Self(moment))
    }

    /// `YYYY-MM-DDTHH:MM:SS`, the form of the panel API: with microseconds only when they are not zero, without a zone.
    pub fn naive_iso(self) -> String {
        self.with_naive_iso(str::to_owned)
    }

    /// Passes the text to `then` without allocating. A page of users has hundreds of moments, and writing the digits
    /// directly takes a tenth of the time that formatting takes.
    fn with_naive_iso<T>(self, then: impl FnOnce(&str) -> T) -> T {
        let at = self.civil();
        let micros = self.0.rem_euclid(SECOND);
        let mut text = *b"0000-00-00T00:00:00.000000";
        // Each number with the index of its last digit.
        for (number, last) in [
            (i64::from(at.year()), 3),
            (i64::from(at.month()), 6),
            (i64::from(at.day()), 9),
            (i64::from(at.hour()), 12),
            (i64::from(at.minute()), 15),
            (i64::from(at.second()), 18),
            (micros, 25),
        ] {
            let mut rest = number.unsigned_abs();
            for digit in text[..=last].iter_mut().rev() {
                if rest == 0 {
                    break;
                }
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        let shown = if micros == 0 { 19 } else { text.len() };
        then(str::from_utf8(&text[..shown]).unwrap_or_default())
    }

    /// `YYYY-MM-DDTHH:MM:SSZ`: the form outside the panel API.
    pub fn utc_iso(self) -> String {
        let mut text = self.naive_iso();
        text.push('Z');
        text
    }

    /// Reads the forms that the panel API accepts: ISO 8601 with `T` or a space, with or without an offset (which is converted;
    /// without one: UTC), a date alone (midnight), or digits: Unix seconds, milliseconds beyond ±2·10¹⁰.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse::<f64>() {
            return Self::from_unix_number(number);
        }
        // jiff takes 'T', 't' or a space between date and time, and any fraction.
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            let moment = timestamp.as_microsecond();
            return (Self::MIN.0..=Self::MAX.0).contains(&moment).then_some(Self(moment));
        }
        if let Ok(at) = text.parse::<DateTime>() {
            return Self::from_civil(at);
        }
        Self::from_civil(text.parse::<Date>().ok()?.at(0, 0, 0, 0))
    }

    /// From a Unix time that may be seconds or, beyond ±2·10¹⁰, milliseconds.
    pub fn from_unix_number(number: f64) -> Option<Self> {
        let seconds = if number.abs() > 2e10 { number / 1_000.0 } else { number };
        let micros = (seconds * SECOND as f64).round();
        // Comparisons with NaN are false.
        (micros >= Self::MIN.0 as f64 && micros <= Self::MAX.0 as f64).then_some(Self(micros as i64))
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_naive_iso(|text| serializer.serialize_str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_has_a_fraction_only_when_it_is_not_zero() {
        let whole = Moment::from_micros(1_795_466_185 * SECOND);
        assert_eq!(whole.naive_iso(), "2026-11-23T20:36:25");
        assert_eq!(whole.plus(9).naive_iso(), "2026-11-23T20:36:25.000009");
        assert_eq!(whole.plus(9).utc_iso(), "2026-11-23T20:36:25.000009Z");
        assert_eq!(Moment::from_micros(-1).naive_iso(), "1969-12-31T23:59:59.999999");
    }

    #[test]
    fn every_accepted_form_is_read() {
        let expected = Some(Moment::from_micros(1_795_466_185 * SECOND));
        for text in [
            "2026-11-23T20:36:25",
            "2026-11-23 20:36:25",
            "2026-11-23T20:36:25Z",
            "2026-11-23T20:36:25.000Z",
            "2026-11-23T22:36:25+02:00",
            "1795466185",
            "1795466185000",
        ] {
            assert_eq!(Moment::parse(text), expected, "{text}");
        }
        assert_eq!(Moment::parse("2026-11-23").map(Moment::naive_iso).as_deref(), Some("2026-11-23T00:00:00"));
        for text in ["", "soon", "2026-13-01", "NaN", "1e300", "inf"] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn first_and_last_moment_are_printed() {
        assert_eq!(Moment::from_micros(i64::MIN).naive_iso(), "0001-01-01T00:00:00");
        assert_eq!(Moment::from_micros(i64::MAX).naive_iso(), "9999-12-31T23:59:59.999999");
        assert_eq!(Moment::MAX.plus(i64::MAX), Moment::MAX);
    }

    #[test]
    fn hour_starts_on_the_hour_before_and_after_the_epoch() {
        assert_eq!(Moment::from_micros(HOUR + 1).hour(), Moment::from_micros(HOUR));
        assert_eq!(Moment::from_micros(-1).hour(), Moment::from_micros(-HOUR));
    }
}
