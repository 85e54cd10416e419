//! Traffic over time: a series of points made from recorded hours.

use super::moment::{DAY, HOUR, Moment, SECOND};

/// The span without a given start, in microseconds.
const DEFAULT_SPAN: i64 = 30 * DAY;
/// The longest span in hours: eleven years.
const MAX_POINTS: i64 = 100_000;
/// The longest span that a user sees by the hour, in microseconds; longer spans are shown by the day.
const HOURS_UP_TO: i64 = 3 * DAY;

/// A span of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub start: Moment,
    /// The last moment; an end before the start makes the span empty.
    pub end: Moment,
}

/// The span is longer than [`MAX_POINTS`] hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not be more than {MAX_POINTS} hours before the end")]
pub struct TooLong;

/// The distance between two points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One hour.
    Hour,
    /// One day, from midnight to midnight UTC.
    Day,
}

/// Bytes at points in time, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The distance between two points.
    pub step: Step,
    /// Bytes of all points.
    pub total: i64,
    /// Unix seconds and bytes, in order of time.
    pub points: Vec<(i64, i64)>,
}

impl Span {
    /// The span between these ends. The end defaults to now, the start to 30 days before now.
    pub const fn new(start: Option<Moment>, end: Option<Moment>, now: Moment) -> Result<Self, TooLong> {
        let end = match end {
            Some(end) => end,
            None => now,
        };
        let start = match start {
            Some(start) => start,
            None => now.plus(-DEFAULT_SPAN),
        };
        if end.since(start) / HOUR >= MAX_POINTS { Err(TooLong) } else { Ok(Self { start, end }) }
    }

    /// The step of the series that a user sees.
    pub const fn step_for_subscription(self) -> Step {
        if self.end.since(self.start) > HOURS_UP_TO { Step::Day } else { Step::Hour }
    }
}

impl Step {
    const fn micros(self) -> i64 {
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// Seconds between two points.
    pub const fn seconds(self) -> i64 {
        self.micros() / SECOND
    }
}

impl Series {
    /// Makes the points of a span, from its start rounded down to the step up to its end. A point has the bytes of the
    /// `hours` that begin within the point and within the span.
    pub fn new(span: Span, step: Step, hours: impl IntoIterator<Item = (Moment, i64)>) -> Self {
        let length = step.micros();
        let first = span.start.micros() - span.start.micros().rem_euclid(length);
        let count = (span.end.micros() - first).div_euclid(length) + 1;
        let mut points: Vec<(i64, i64)> = if span.end < span.start {
            Vec::new()
        } else {
            (0..count).map(|nth| ((first + nth * length) / SECOND, 0)).collect()
        };
        let mut total = 0i64;
        for (hour, bytes) in hours {
            let nth = usize::try_from((hour.micros() - first).div_euclid(length)).ok();
            let within = span.start <= hour && hour <= span.end;
            if let Some((_, sum)) = nth.filter(|_| within).and_then(|nth| points.get_mut(nth)) {
                *sum = sum.saturating_add(bytes);
                total = total.saturating_add(bytes);
            }
        }
        Self { step, total, points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T15:00:00.
    const THREE: i64 = 1_795_446_000;

    fn at(seconds: i64) -> Moment {
        Moment::from_micros(seconds * SECOND)
    }

    fn span(start: i64, end: i64) -> Span {
        Span::new(Some(at(start)), Some(at(end)), at(0)).expect("short enough")
    }

    #[test]
    fn series_has_a_point_for_every_hour_of_the_span() {
        let hours = [(at(THREE), 7), (at(THREE + 3_600), 5), (at(THREE + 2 * 3_600), 3), (at(THREE + 3 * 3_600), 1)];
        let series = Series::new(span(THREE + 1_800, THREE + 2 * 3_600), Step::Hour, hours);
        let expected = vec![(THREE, 0), (THREE + 3_600, 5), (THREE + 7_200, 3)];
        assert_eq!(series, Series { step: Step::Hour, total: 8, points: expected });
        let exact = Series::new(span(THREE, THREE), Step::Hour, hours);
        assert_eq!(exact.points, [(THREE, 7)]);
    }

    #[test]
    fn end_before_the_start_gives_no_points() {
        for end in [THREE - 7_200, THREE + 60] {
            let series = Series::new(span(THREE + 120, end), Step::Hour, [(at(THREE), 7)]);
            assert_eq!(series, Series { step: Step::Hour, total: 0, points: Vec::new() });
        }
    }

    #[test]
    fn day_begins_at_midnight_utc() {
        let midnight = THREE - 15 * 3_600;
        let span = span(THREE, THREE + 4 * 86_400);
        assert_eq!(span.step_for_subscription(), Step::Day);
        let hours = [(at(THREE - 3_600), 100), (at(THREE), 1), (at(THREE + 3_600), 2), (at(THREE + 86_400), 4)];
        let series = Series::new(span, Step::Day, hours);
        assert_eq!((series.points.len(), series.total), (5, 7), "the hour before the start does not count");
        assert_eq!(series.points[..2], [(midnight, 3), (midnight + 86_400, 4)]);
    }

    #[test]
    fn users_see_up_to_three_days_by_the_hour() {
        assert_eq!(span(THREE, THREE + 3 * 86_400).step_for_subscription(), Step::Hour);
        assert_eq!(span(THREE, THREE + 3 * 86_400 + 1).step_for_subscription(), Step::Day);
    }

    #[test]
    fn span_has_defaults_and_a_maximum() {
        let now = at(THREE);
        let usual = Span::new(None, None, now).expect("short enough");
        assert_eq!((usual.start, usual.end), (at(THREE - 30 * 86_400), now));
        assert_eq!(Span::new(Some(Moment::MIN), Some(Moment::MAX), now), Err(TooLong));
        assert!(Span::new(Some(Moment::MAX), Some(Moment::MIN), now).is_ok());
        let most = Span::new(Some(at(0)), Some(at(MAX_POINTS * 3_600 - 1)), now).expect("short enough");
        assert_eq!(Series::new(most, Step::Hour, []).points.len(), 100_000);
        assert_eq!(Span::new(Some(at(0)), Some(at(MAX_POINTS * 3_600)), now), Err(TooLong));
    }

    #[test]
    fn totals_saturate() {
        let series = Series::new(span(THREE, THREE), Step::Hour, [(at(THREE), i64::MAX), (at(THREE), i64::MAX)]);
        assert_eq!(series.total, i64::MAX);
    }
}
