//! Dates and spans of time in templates, with the attributes and methods of Python's `datetime` and `timedelta`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::fmt::strtime::BrokenDownTime;
use minijinja::value::{DynObject, Kwargs, Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use crate::domain::moment::{DAY, HOUR, Moment, SECOND};

const MINUTE: i64 = 60 * SECOND;

/// A moment in UTC, without a time zone as in the old panel, or the day of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    moment: Moment,
    is_day: bool,
}

/// A span of time in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(i64);

impl From<Moment> for Date {
    fn from(moment: Moment) -> Self {
        Self { moment, is_day: false }
    }
}

/// The sum of a date and a span, or of two spans.
pub fn sum(left: &Value, right: &Value) -> Option<Value> {
    let span = |value: &Value| value.downcast_object_ref::<Span>().copied();
    match (date(left), span(left), date(right), span(right)) {
        (Some(date), _, _, Some(Span(span))) | (_, Some(Span(span)), Some(date), _) => Some(date.plus(span)),
        (_, Some(Span(one)), _, Some(Span(other))) => Some(Value::from_object(Span(one.saturating_add(other)))),
        _ => None,
    }
}

/// The difference of two dates or of two spans, or a date less a span.
pub fn difference(left: &Value, right: &Value) -> Option<Value> {
    let span = |value: &Value| value.downcast_object_ref::<Span>().copied();
    match (date(left), span(left), date(right), span(right)) {
        (Some(one), _, Some(other), _) => Some(Value::from_object(Span(one.moment.since(other.moment)))),
        (Some(date), _, _, Some(Span(span))) => Some(date.plus(span.saturating_neg())),
        (_, Some(Span(one)), _, Some(Span(other))) => Some(Value::from_object(Span(one.saturating_sub(other)))),
        _ => None,
    }
}

fn date(value: &Value) -> Option<Date> {
    value.downcast_object_ref::<Date>().copied()
}

impl Date {
    /// The moment.
    pub const fn moment(self) -> Moment {
        self.moment
    }

    fn plus(self, micros: i64) -> Value {
        let moment = self.moment.plus(micros);
        let moment = if self.is_day { moment.day() } else { moment };
        Value::from_object(Self { moment, ..self })
    }

    fn micros(self) -> i64 {
        self.moment.micros().rem_euclid(SECOND)
    }

    fn micros_text(self) -> String {
        format!("{:06}", self.micros())
    }

    /// Texts as `datetime.isoformat` and `str` have them.
    fn iso(self, separator: &str) -> String {
        let at = self.moment.civil();
        if self.is_day {
            return at.strftime("%Y-%m-%d").to_string();
        }
        let text = format!("{}{separator}{}", at.strftime("%Y-%m-%d"), at.strftime("%H:%M:%S"));
        if self.micros() == 0 { text } else { format!("{text}.{}", self.micros_text()) }
    }

    /// The date in the format of Python's `strftime`.
    fn formatted(self, format: &str) -> Result<String, Error> {
        let wrong =
            |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, "wrong format of a date").with_source(error);
        let mut parts = format.split('%');
        let mut adapted = parts.next().unwrap_or_default().to_owned();
        while let Some(part) = parts.next() {
            let (directive, rest) = part.split_at(part.chars().next().map_or(0, char::len_utf8));
            if directive.is_empty() {
                // The part after `%%` begins with no directive.
                adapted.push_str("%%");
                adapted.push_str(parts.next().unwrap_or_default());
                continue;
            }
            match directive {
                "f" => adapted.push_str(&self.micros_text()),
                "c" => adapted.push_str("%a %b %e %H:%M:%S %Y"),
                "x" => adapted.push_str("%m/%d/%y"),
                "X" => adapted.push_str("%H:%M:%S"),
                // Dates have no time zone.
                "Z" | "z" => {}
                "s" => adapted.push_str(&self.moment.seconds().to_string()),
                directive => {
                    adapted.push('%');
                    adapted.push_str(directive);
                }
            }
            adapted.push_str(rest);
        }
        BrokenDownTime::from(self.moment.civil()).to_string(&adapted).map_err(wrong)
    }

    /// The date with other parts, such as `replace(hour=0)`.
    fn replaced(self, parts: &Kwargs) -> Result<Value, Error> {
        let at = self.moment.civil();
        let part = |name: &str, now: i64| -> Result<i64, Error> { Ok(parts.get::<Option<i64>>(name)?.unwrap_or(now)) };
        let micros = part("microsecond", self.micros())?;
        let values = [
            part("year", at.year().into())?,
            part("month", at.month().into())?,
            part("day", at.day().into())?,
            part("hour", at.hour().into())?,
            part("minute", at.minute().into())?,
            part("second", at.second().into())?,
        ];
        // A time zone changes nothing.
        let _zone = parts.get::<Option<Value>>("tzinfo")?;
        parts.assert_all_used()?;
        let text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{micros:06}",
            values[0], values[1], values[2], values[3], values[4], values[5]
        );
        let moment = Moment::parse(&text)
            .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{text} is no date")))?;
        Ok(Value::from_object(Self { moment, ..self }))
    }
}

impl Object for Date {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = self.moment.civil();
        Some(match key.as_str()? {
            "year" => at.year().into(),
            "month" => at.month().into(),
            "day" => at.day().into(),
            "hour" => at.hour().into(),
            "minute" => at.minute().into(),
            "second" => at.second().into(),
            "microsecond" => self.micros().into(),
            "tzinfo" => ().into(),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let at = self.moment.civil();
        match method {
            "strftime" => {
                let (format,): (&str,) = from_args(args)?;
                self.formatted(format).map(Value::from)
            }
            "isoformat" => {
                let (separator, named): (Option<&str>, Kwargs) = from_args(args)?;
                let named = named.get::<Option<&str>>("sep")?;
                Ok(self.iso(separator.or(named).unwrap_or("T")).into())
            }
            "replace" => {
                let (parts,): (Kwargs,) = from_args(args)?;
                self.replaced(&parts)
            }
            // Python takes a date without a zone for one in the zone of the machine. The panel's are in UTC.
            "astimezone" => Ok(Value::from_object(**self)),
            "timestamp" => without_arguments(args, (self.moment.micros() as f64 / SECOND as f64).into()),
            "date" => without_arguments(args, Value::from_object(Self { moment: self.moment.day(), is_day: true })),
            "time" => without_arguments(args, at.strftime("%H:%M:%S").to_string().into()),
            "weekday" => without_arguments(args, at.weekday().to_monday_zero_offset().into()),
            "isoweekday" => without_arguments(args, at.weekday().to_monday_one_offset().into()),
            _ => Err(ErrorKind::UnknownMethod.into()),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.moment.cmp(&other.downcast_ref::<Self>()?.moment))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso(" "))
    }
}

impl Object for Span {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        // Seconds and microseconds count from the end of the last whole day, also before zero.
        Some(match key.as_str()? {
            "days" => self.0.div_euclid(DAY).into(),
            "seconds" => (self.0.rem_euclid(DAY) / SECOND).into(),
            "microseconds" => self.0.rem_euclid(SECOND).into(),
            _ => return None,
        })
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0 != 0
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "total_seconds" => without_arguments(args, (self.0 as f64 / SECOND as f64).into()),
            _ => Err(ErrorKind::UnknownMethod.into()),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        match days {
            0 => {}
            1 | -1 => write!(f, "{days} day, ")?,
            _ => write!(f, "{days} days, ")?,
        }
        write!(f, "{}:{:02}:{:02}", rest / HOUR, rest % HOUR / MINUTE, rest % MINUTE / SECOND)?;
        match rest % SECOND {
            0 => Ok(()),
            micros => write!(f, ".{micros:06}"),
        }
    }
}

fn without_arguments(args: &[Value], result: Value) -> Result<Value, Error> {
    let () = from_args(args)?;
    Ok(result)
}
