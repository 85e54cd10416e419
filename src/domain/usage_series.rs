//! Traffic over time: a series of points from the hours that were recorded.

use super::moment::{DAY, HOUR, Moment, SECOND};

/// What is shown when no start is asked for.
const DEFAULT_SPAN: i64 = 30 * DAY;
/// So many points at most: eleven years of hours.
const MAX_POINTS: i64 = 100_000;
/// A subscription's own series goes by days beyond so much.
const HOURS_UP_TO: i64 = 3 * DAY;

/// From when to when, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub start: Moment,
    /// The last moment; before `start`: nothing is asked for.
    pub end: Moment,
}

/// The span has too many hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not be more than {MAX_POINTS} hours before the end")]
pub struct TooLong;

/// How far points are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From hour to hour.
    Hour,
    /// From midnight to midnight, UTC.
    Day,
}

/// Bytes by points in time, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// How far the points are apart.
    pub step: Step,
    /// Bytes of all points.
    pub total: i64,
    /// Unix seconds and bytes, in order of time.
    pub points: Vec<(i64, i64)>,
}

impl Span {
    /// Between these ends. Without an end: until now; without a start: the 30 days before now.
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

    /// The step of a subscription's own series.
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

    /// Seconds from point to point.
    pub const fn seconds(self) -> i64 {
        self.micros() / SECOND
    }
}

impl Series {
    /// The points of a span, from its start cut to the step, up to its end; each with the bytes of those `hours` that
    /// begin in it and in the span.
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
    fn a_point_for_every_hour_from_the_one_cut_to_the_one_of_the_end() {
        let hours = [(at(THREE), 7), (at(THREE + 3_600), 5), (at(THREE + 2 * 3_600), 3), (at(THREE + 3 * 3_600), 1)];
        let series = Series::new(span(THREE + 1_800, THREE + 2 * 3_600), Step::Hour, hours);
        let expected = vec![(THREE, 0), (THREE + 3_600, 5), (THREE + 7_200, 3)];
        assert_eq!(series, Series { step: Step::Hour, total: 8, points: expected });
        let exact = Series::new(span(THREE, THREE), Step::Hour, hours);
        assert_eq!(exact.points, [(THREE, 7)]);
    }

    #[test]
    fn an_end_before_the_start_is_no_points_even_within_an_hour() {
        for end in [THREE - 7_200, THREE + 60] {
            let series = Series::new(span(THREE + 120, end), Step::Hour, [(at(THREE), 7)]);
            assert_eq!(series, Series { step: Step::Hour, total: 0, points: Vec::new() });
        }
    }

    #[test]
    fn days_begin_at_midnight() {
        let midnight = THREE - 15 * 3_600;
        let span = span(THREE, THREE + 4 * 86_400);
        assert_eq!(span.step_for_subscription(), Step::Day);
        let hours = [(at(THREE - 3_600), 100), (at(THREE), 1), (at(THREE + 3_600), 2), (at(THREE + 86_400), 4)];
        let series = Series::new(span, Step::Day, hours);
        assert_eq!((series.points.len(), series.total), (5, 7), "the hour before the start does not count");
        assert_eq!(series.points[..2], [(midnight, 3), (midnight + 86_400, 4)]);
    }

    #[test]
    fn three_days_are_the_most_by_hours_for_a_subscription() {
        assert_eq!(span(THREE, THREE + 3 * 86_400).step_for_subscription(), Step::Hour);
        assert_eq!(span(THREE, THREE + 3 * 86_400 + 1).step_for_subscription(), Step::Day);
    }

    #[test]
    fn spans_have_defaults_and_a_most() {
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
    fn absurd_bytes_do_not_overflow() {
        let series = Series::new(span(THREE, THREE), Step::Hour, [(at(THREE), i64::MAX), (at(THREE), i64::MAX)]);
        assert_eq!(series.total, i64::MAX);
    }
}
